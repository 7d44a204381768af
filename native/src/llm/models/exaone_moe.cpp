// EXAONE of many experts. mlx-lm: models/exaone_moe.py
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::exaone_moe {
namespace {

// The settings under the names that DeepSeek has.
Config renamed(Config config) {
  config.set_from("n_routed_experts", config, "num_experts");
  config.set_from("n_shared_experts", config, "num_shared_experts");
  if (!config.contains("routed_scaling_factor")) config.set("routed_scaling_factor", 2.5);
  if (!config.contains("rope_theta")) config.set("rope_theta", 1e6);
  return config;
}

bool has_experts(const Config& config, std::size_t layer) {
  const auto each = config.get<std::vector<bool>>("is_moe_layer");
  if (each.size() < layer_count(config)) {
    throw FormatError(fmt::format("[load] is_moe_layer has {} entries for {} layers", each.size(),
                                  layer_count(config)));
  }
  return each[layer];
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  constexpr std::string_view kSliding = "sliding_attention";
  const std::vector<std::string> types = layer_types(config);
  const bool has_windows = std::ranges::find(types, kSliding) != types.end();
  std::optional<Rope> rope;
  // Beside layers with a window those without tell no positions.
  if (types[layer] == kSliding || !has_windows) {
    RopeSettings settings = rope_settings(config, options.head_dim);
    settings.base = nested_base(config, settings.base);
    settings.traditional = false;
    rope = Rope(settings);
  }
  return {options, rope, maker};
}

DeepseekMlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (!has_experts(config, layer)) return gated_mlp(config, maker);
  return deepseek_experts(config, maker, 1e-20);
}

struct Block : PreNormBlock<Attention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm(renamed(config), maker, is_tied(config, false)),
        cache(caches_by_layer_types(config, model.layers.size())) {}
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop(weights, [](std::string_view name) { return name.starts_with("mtp."); });
  drop_tied_head(weights, is_tied(config, false));
  const std::size_t layers = layer_count(config);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string mlp = fmt::format("model.layers.{}.mlp.", layer);
    rename_one(weights, mlp + "e_score_correction_bias", mlp + "gate.e_score_correction_bias");
  }
  stack_layers_of_experts(weights, layers, "mlp", size_in(config, "num_experts"));
}

}  // namespace

const Family kFamily{"exaone_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::exaone_moe
