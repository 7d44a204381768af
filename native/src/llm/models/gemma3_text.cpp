// Gemma 3 for text. mlx-lm: models/gemma3_text.py
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::gemma3_text {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 1152, "num_hidden_layers": 26, "intermediate_size": 6912,
  "num_attention_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6, "vocab_size": 262144,
  "num_key_value_heads": 1, "rope_local_base_freq": 1e4,
  "query_pre_attn_scalar": 256, "sliding_window": 512, "sliding_window_pattern": 6,
  "max_position_embeddings": 32768})";

// The last layer of each group sees everything, the others a window.
bool is_global(const Config& config, std::size_t layer) {
  const std::int64_t group = size_in(config, "sliding_window_pattern");
  return (static_cast<std::int64_t>(layer) + 1) % group == 0;
}

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.scale = 1 / std::sqrt(config.get<double>("query_pre_attn_scalar"));
  options.norm_eps = norm_eps(config);
  RopeSettings rope = rope_settings(config, options.head_dim, 1e6);
  rope.traditional = false;
  if (!is_global(config, layer)) {
    rope.base = config.get<double>("rope_local_base_freq");
    rope.scaling.reset();
  }
  Attention attention(options, Rope(rope), maker);
  attention.q_norm->plus_one = attention.k_norm->plus_one = true;
  return attention;
}

struct Block : SandwichBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : SandwichBlock{attention(config, layer, maker),
                      gated_mlp(config, maker, false, &nn::gelu_approx),
                      plus_one(rms_norm(config, maker)),
                      plus_one(rms_norm(config, maker)),
                      plus_one(rms_norm(config, maker)),
                      plus_one(rms_norm(config, maker)),
                      true} {}
};

struct Model : CausalLm<Block> {
  Tensor scale;
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    const Tensor h = model.embed_tokens(tokens);
    return model.run(h * as_type(scale, h.dtype()), step);
  }
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, is_tied(config, true),
                 {config, maker, plus_one(rms_norm(config, maker))}),
        // A factor of 16 bits, whatever the type of the model.
        scale(as_type(Tensor(std::sqrt(static_cast<float>(hidden_size(config)))), DType::bf16)),
        cache(full_caches(model.layers.size())) {
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (!is_global(config, layer))
        cache[layer] = windowed_cache(config.get<std::int64_t>("sliding_window"));
    }
  }
};

}  // namespace

const Family kFamily{"gemma3_text", &make_module<Model>, &sanitize_plainly<true>,
                     &tied_without_head};

}  // namespace mlxnx::llm::gemma3_text
