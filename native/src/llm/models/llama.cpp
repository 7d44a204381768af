// Llama, Mistral and those that are made like them. mlx-lm: models/llama.py
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block {
  Attention self_attn;
  GatedMlp mlp;
  nn::RMSNorm input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm)

  Block(const Config& config, std::size_t, Maker& maker)
      : self_attn(attention(config, maker)),
        mlp(hidden_size(config), config.get<std::int64_t>("intermediate_size"),
            config.get<bool>("mlp_bias", false), maker),
        input_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))),
        post_attention_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = x + self_attn(input_layernorm(x), step, layer);
    return h + mlp(post_attention_layernorm(h));
  }
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, config.get<bool>("tie_word_embeddings", true)),
        cache(caches_by_layer_types(config, model.layers.size())) {}
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_suffix(weights, "self_attn.rotary_emb.inv_freq");
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", true));
}

}  // namespace

const Family kLlama{"llama", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm
