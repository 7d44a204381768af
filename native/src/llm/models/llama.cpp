// Llama, Mistral and those that are made like them. mlx-lm: models/llama.py
#include <cstddef>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::llama {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
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

const Family kFamily{"llama", &make_module<Model>, &sanitize_plainly<true>};

}  // namespace mlxnx::llm::llama
