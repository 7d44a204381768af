// Phi-3.5-MoE. mlx-lm: models/phimoe.py
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::phimoe {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 6400, "num_hidden_layers": 32,
  "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
  "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "num_local_experts": 16,
  "num_experts_per_tok": 2, "rope_theta": 10000.0, "router_jitter_noise": 0.01})";

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = true;
  RopeSettings rope{.dims = options.head_dim, .base = config.get<double>("rope_theta")};
  if (auto scaling = rope_scaling(config)) {
    rope.magnitude = scaling->get<double>("long_mscale");
    scaling->set("type", std::string("longrope"));
    scaling->set_from("original_max_position_embeddings", config);
    rope.scaling = scaling;
    rope.max_positions = config.get<std::int64_t>("max_position_embeddings");
  }
  return {options, Rope(rope), maker};
}

// Each of the chosen is weighed against those that come near it, and is then out of the choice.
Routed mix_sparsely(const Tensor& logits, std::int64_t count, double jitter) {
  const Tensor least = constant(-std::numeric_limits<double>::infinity(), logits.dtype());
  const Shape& shape = logits.shape();
  Tensor rest = logits;
  std::vector<Tensor> experts, scores;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto [top, expert] = top_k(rest, 1);
    const Tensor factor = max(abs(logits), top);
    const Tensor is_far = (top - logits) / factor > 2 * jitter;
    const Tensor near = select(is_far, broadcast(least, shape), rest);
    scores.push_back(
        take_along_axis(fast::softmax(near, {.axes = Axes{-1}}), expert, {.axis = -1}));
    experts.push_back(expert);
    const Tensor is_it = iota({shape.back()}, {.type = DType::s32}) == expert;
    rest = select(is_it, broadcast(least, shape), rest);
  }
  return {concatenate(experts, {.axis = -1}), concatenate(scores, {.axis = -1})};
}

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  MLXNX_MEMBERS(gate, switch_mlp)
  std::int64_t count;
  double jitter;

  Experts(const Config& config, Maker& maker)
      : gate(maker.linear(hidden_size(config), size_in(config, "num_local_experts"), false)),
        switch_mlp(hidden_size(config), size_in(config, "intermediate_size"),
                   size_in(config, "num_local_experts"), maker),
        count(config.get<std::int64_t>("num_experts_per_tok")),
        jitter(config.get<double>("router_jitter_noise")) {
    check({.experts = size_in(config, "num_local_experts"), .count = count});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = mix_sparsely(gate(x), count, jitter);
    return mixed(switch_mlp(x, routed.experts), routed.scores);
  }
};

struct Block : PreNormBlock<Attention, Experts> {
  static constexpr const char* member_names() {
    return "self_attn, block_sparse_moe, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Experts(config, maker),
                     layer_norm(config, maker, norm_eps(config)),
                     layer_norm(config, maker, norm_eps(config))} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, true,
                 {config, maker, layer_norm(config, maker, norm_eps(config))}) {
    lm_head = maker.linear(hidden_size(config), vocabulary_size(config), true);
  }
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  stack_layers_of_experts(weights, layer_count(config), "block_sparse_moe",
                          size_in(config, "num_local_experts"), {"w1", "w2", "w3"});
}

}  // namespace

const Family kFamily{"phimoe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::phimoe
