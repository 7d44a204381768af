// EXAONE 4. mlx-lm: models/exaone4.py
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::exaone4 {
namespace {

// Where layers see a window ("L" in the pattern, which is repeated), those that see everything know
// no positions.
std::optional<bool> is_local(const Config& config, std::size_t layer) {
  const auto pattern = config.get<std::string>("sliding_window_pattern", "");
  if (pattern.empty()) return std::nullopt;
  return pattern[layer % pattern.size()] == 'L';
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  std::optional<Rope> rope;
  if (is_local(config, layer).value_or(true)) {
    RopeSettings settings = rope_settings(config, options.head_dim);
    settings.traditional = false;
    rope.emplace(settings);
  }
  return {options, rope, maker};
}

struct Block : PostNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PostNormBlock{attention(config, layer, maker), gated_mlp(config, maker),
                      rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, false)), cache(full_caches(model.layers.size())) {
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (is_local(config, layer).value_or(false))
        cache[layer] = windowed_cache(config.get<std::int64_t>("sliding_window"));
    }
  }
  std::vector<LayerCache> make_cache() const { return cache; }
};

}  // namespace

const Family kFamily{"exaone4", &make_module<Model>, &sanitize_plainly<false>};

}  // namespace mlxnx::llm::exaone4
