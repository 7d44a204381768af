#include "llm/parts/delta_block.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm {
namespace {

AttentionOptions options_of(const Config& config) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.norm_eps = norm_eps(config);
  return options;
}

RopeSettings rope_of(const Config& config) {
  const auto size = static_cast<double>(attention_options(config).head_dim);
  RopeSettings rope = rope_settings(
      config, static_cast<std::int64_t>(size * config.get<double>("partial_rotary_factor")));
  rope.traditional = false;
  return rope;
}

}  // namespace

bool is_linear_attention(const Config& config, std::size_t layer) {
  const auto interval = size_in(config, "full_attention_interval", 4);
  return (layer + 1) % static_cast<std::size_t>(interval) != 0;
}

GatedAttention::GatedAttention(const Config& config, Maker& maker)
    : Attention(options_of(config), Rope(rope_of(config)), maker) {
  const AttentionOptions options = options_of(config);
  q_proj = maker.linear(options.dims, 2 * options.heads * options.head_dim, options.bias);
}

Tensor GatedAttention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  const Tensor both = to_heads(q_proj(x), heads);
  const auto [own, gate] = split(both, both.shape()[3] / 2, {.axis = -1});
  const Tensor queries = (*rope)((*q_norm)(own), step);
  const Tensor keys = (*rope)((*k_norm)(to_heads(k_proj(x), kv_heads)), step);
  const Tensor values = to_heads(v_proj(x), kv_heads);
  const Tensor result = from_heads(attend(queries, keys, values, step, layer, attending));
  return o_proj(result * nn::sigmoid(from_heads(gate)));
}

bool has_experts(const Config& config, std::size_t layer) {
  const auto number = static_cast<std::int64_t>(layer);
  if (config.contains("mlp_only_layers")) {
    const auto plain = config.get<std::vector<std::int64_t>>("mlp_only_layers");
    if (std::ranges::find(plain, number) != plain.end()) return false;
  }
  return config.get<std::int64_t>("num_experts", 0) > 0 &&
         (number + 1) % size_in(config, "decoder_sparse_step", 1) == 0;
}

GatedExperts gated_experts(const Config& config, Maker& maker) {
  const RoutingOptions routing{.experts = size_in(config, "num_experts"),
                               .count = size_in(config, "num_experts_per_tok"),
                               .normalized = config.get<bool>("norm_topk_prob", false)};
  return {hidden_size(config), size_in(config, "moe_intermediate_size"),
          size_in(config, "shared_expert_intermediate_size"), routing, maker};
}

void add_one_to_norms(nn::Parameters& weights) {
  constexpr std::array<std::string_view, 5> kNorms = {
      ".input_layernorm.weight", ".post_attention_layernorm.weight", "model.norm.weight",
      ".q_norm.weight", ".k_norm.weight"};
  for (auto& [name, tensor] : weights) {
    for (const std::string_view norm : kNorms) {
      if (name.ends_with(norm) && tensor.rank() == 1) tensor += 1.0;
    }
  }
}

}  // namespace mlxnx::llm
