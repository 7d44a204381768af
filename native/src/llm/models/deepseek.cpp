// DeepSeekMoE, the first. mlx-lm: models/deepseek.py
#include <cstddef>
#include <cstdint>
#include <string>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::deepseek {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008,
  "moe_intermediate_size": 1407, "num_hidden_layers": 30, "num_attention_heads": 32,
  "num_key_value_heads": 32, "rms_norm_eps": 1e-6})";

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("attention_bias", false);
  RopeSettings rope{.dims = options.head_dim, .base = config.get<double>("rope_theta", 10'000)};
  // Other kinds of scaling are passed over.
  if (const auto scaling = rope_scaling(config);
      scaling && scaling->get<std::string>("type") == "linear")
    rope.scaling = scaling;
  return {options, Rope(rope), maker};
}

DeepseekMlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (!is_layer_of_experts(config, layer)) return gated_mlp(config, maker);
  const std::int64_t hidden = size_in(config, "moe_intermediate_size");
  return CorrectedExperts(hidden_size(config), hidden,
                          width_of_shared(config, "n_shared_experts", hidden), false,
                          {.experts = size_in(config, "n_routed_experts"),
                           .count = size_in(config, "num_experts_per_tok")},
                          maker);
}

struct Block : PreNormBlock<Attention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(with_defaults(config, kDefaults), maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  stack_layers_of_experts(weights, layer_count(with_defaults(config, kDefaults)), "mlp",
                          config.get<std::int64_t>("n_routed_experts", 0));
}

}  // namespace

const Family kFamily{"deepseek", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::deepseek
