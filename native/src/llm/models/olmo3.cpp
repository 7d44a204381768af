// OLMo 3. mlx-lm: models/olmo3.py
#include <cstddef>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::olmo3 {
namespace {

// Each fourth layer sees everything where the settings say nothing else.
Config with_layer_types(Config config) {
  if (config.contains("layer_types")) return config;
  std::vector<std::string> types;
  for (std::size_t layer = 0; layer < layer_count(config); ++layer)
    types.emplace_back((layer + 1) % 4 == 0 ? "full_attention" : "sliding_attention");
  config.set("layer_types", types);
  return config;
}

bool is_global(const Config& config, std::size_t layer) {
  return layer_types(config)[layer] == "full_attention";
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.norm_eps = norm_eps(config);
  options.norms_rows = true;
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = false;
  if (!is_global(config, layer)) rope.scaling.reset();
  return {options, Rope(rope), maker};
}

struct Block : PostNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PostNormBlock{attention(config, layer, maker), gated_mlp(config, maker),
                      rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_layer_types(given), maker, 0) {}
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, is_tied(config, false)),
        cache(caches_by_layer_types(config, model.layers.size())) {}
};

}  // namespace

const Family kFamily{"olmo3", &make_module<Model>, &sanitize_plainly<false>};

}  // namespace mlxnx::llm::olmo3
