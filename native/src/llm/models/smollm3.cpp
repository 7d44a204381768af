// SmolLM3. mlx-lm: models/smollm3.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::smollm3 {
namespace {

// Layers without positions: as a list, or each last one of a group.
std::vector<bool> turned_layers(const Config& config) {
  const std::size_t count = layer_count(config);
  std::vector<bool> turned;
  if (config.contains("no_rope_layers")) {
    for (const std::int64_t each : config.get<std::vector<std::int64_t>>("no_rope_layers"))
      turned.push_back(each != 0);
    if (turned.size() != count) {
      throw FormatError(
          fmt::format("[load] no_rope_layers has {} entries for {} layers", turned.size(), count));
    }
    return turned;
  }
  const auto group = static_cast<std::size_t>(size_in(config, "no_rope_layer_interval", 4));
  for (std::size_t layer = 0; layer < count; ++layer) turned.push_back((layer + 1) % group != 0);
  return turned;
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  std::optional<Rope> rope;
  if (turned_layers(config)[layer]) rope.emplace(rope_settings(config, options.head_dim));
  return {options, rope, maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker),
                     gated_mlp(config, maker, config.get<bool>("mlp_bias", false)),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, true)),
        cache(caches_by_layer_types(config, model.layers.size())) {}
  std::vector<LayerCache> make_cache() const { return cache; }
};

}  // namespace

const Family kFamily{"smollm3", &make_module<Model>, &sanitize_plainly<true>};

}  // namespace mlxnx::llm::smollm3
