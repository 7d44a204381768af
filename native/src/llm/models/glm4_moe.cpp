// GLM-4.5 and its like. mlx-lm: models/glm4_moe.py
#include <fmt/format.h>

#include <cstdint>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::glm4_moe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.output_bias = false;
  if (config.get<bool>("use_qk_norm", false)) options.norm_eps = norm_eps(config);
  const double turned =
      static_cast<double>(options.head_dim) * config.get<double>("partial_rotary_factor");
  return {
      options,
      Rope({.dims = static_cast<std::int64_t>(turned), .base = config.get<double>("rope_theta")}),
      maker};
}

// Where experts begin they are in every layer.
Config without_frequency(Config config) {
  config.erase("moe_layer_freq");
  return config;
}

struct Block : PreNormBlock<Attention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), deepseek_mlp(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(without_frequency(config), maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  const std::size_t layers = layer_count(config);
  stack_layers_of_experts(weights, layers, "mlp", config.get<std::int64_t>("n_routed_experts", 0));
  drop_layers_past(weights, layers);
}

}  // namespace

const Family kFamily{"glm4_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::glm4_moe
