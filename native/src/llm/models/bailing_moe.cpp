// Ling and Ring. mlx-lm: models/bailing_moe.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() {
    return "query_key_value, dense, query_layernorm, key_layernorm";
  }
};

SelfAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("use_qkv_bias", false);
  options.output_bias = config.get<bool>("use_bias", false);
  if (config.get<bool>("use_qk_norm", false)) options.norm_eps = norm_eps(config);
  const std::int64_t turned =
      config.contains("rotary_dim")
          ? size_in(config, "rotary_dim")
          : rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor", 1.0));
  RopeSettings rope = rope_settings(config, turned);
  rope.traditional = false;
  return {FusedAttention(options, Rope(rope), maker)};
}

struct Gate {
  nn::Linear gate_proj;
  std::optional<Tensor> expert_bias;
  MLXNX_MEMBERS(gate_proj, expert_bias)
};

struct Experts {
  SwitchGlu switch_mlp;
  Gate gate;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(switch_mlp, gate, shared_experts)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const {
    const Tensor logits = gate.gate_proj(x);
    const Routed routed = route_by_scores(as_type(logits, DType::f32), routing, gate.expert_bias);
    const Tensor y = mixed(switch_mlp(x, routed.experts), as_type(routed.scores, logits.dtype()));
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

Experts experts(const Config& config, Maker& maker) {
  const std::int64_t dims = hidden_size(config), count = size_in(config, "num_experts");
  const std::int64_t hidden = size_in(config, "moe_intermediate_size");
  const bool bias = config.get<bool>("use_bias", false);
  Gate gate{.gate_proj = maker.linear(dims, count, false), .expert_bias = {}};
  if (config.get<bool>("moe_router_enable_expert_bias", false))
    gate.expert_bias = maker.tensor({count});
  Experts result{
      .switch_mlp = SwitchGlu(dims, hidden, count, maker, bias),
      .gate = gate,
      .shared_experts = {},
      .routing = {.experts = count,
                  .count = size_in(config, "num_experts_per_tok"),
                  .is_sigmoid = config.get<std::string>("score_function", "softmax") == "sigmoid",
                  .least_sum = 1e-20,
                  .scale = config.get<double>("routed_scaling_factor", 1.0),
                  .groups = size_in(config, "n_group", 1),
                  .per_group = 2}};
  RoutingOptions& routing = result.routing;
  routing.normalized = routing.count > 1 && config.get<bool>("norm_topk_prob");
  if (routing.groups > 1) routing.kept_groups = size_in(config, "topk_group", 4);
  check(routing);
  std::int64_t shared = config.get<std::int64_t>("moe_shared_expert_intermediate_size", 0);
  shared = (shared == 0 ? hidden : shared) * config.get<std::int64_t>("num_shared_experts");
  if (shared > 0 && config.get<bool>("moe_router_enable_shared_expert", true))
    result.shared_experts.emplace(dims, shared, bias, maker);
  return result;
}

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  const auto first = config.get<std::int64_t>("first_k_dense_replace");
  if (config.contains("num_experts") && static_cast<std::int64_t>(layer) >= first)
    return experts(config, maker);
  return gated_mlp(config, maker, config.get<bool>("use_bias", false));
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() {
    return "attention, mlp, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "word_embeddings, layers, norm"; }
  using Decoder::Decoder;
};

struct Model : CausalLm<Block, Body> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, is_tied(config, false));
  if (config.get<bool>("norm_head", false)) {
    const auto head = weights.find("lm_head.weight");
    if (head == weights.end() || !is_float(head->second.dtype()) || head->second.rank() != 2) {
      throw UnsupportedError(
          "[load] norm_head is set, and there is no lm_head.weight of floats to norm");
    }
    const Tensor wide = as_type(head->second, DType::f32);
    const Tensor norm = sqrt(sum(wide * wide, {.axes = Axes{0}, .keep_axes = true})) + 1e-7;
    head->second = as_type(head->second / norm, head->second.dtype());
  }
  const std::size_t layers = layer_count(config);
  if (config.contains("num_experts"))
    stack_layers_of_experts(weights, layers, "mlp", size_in(config, "num_experts"));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string gate = fmt::format("model.layers.{}.mlp.gate.", layer);
    rename_one(weights, gate + "weight", gate + "gate_proj.weight");
    rename_one(weights, gate + "bias", gate + "gate_proj.bias");
  }
}

}  // namespace

const Family kBailingMoe{"bailing_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm
