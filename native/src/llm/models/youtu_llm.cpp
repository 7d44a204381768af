// Youtu-LLM. mlx-lm: models/youtu_llm.py
#include <cmath>
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::youtu_llm {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 32,
  "num_attention_heads": 16, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128,
  "qk_nope_head_dim": 128, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
  "rope_theta": 1.6e6, "rope_traditional": true, "attention_bias": false, "mlp_bias": false,
  "tie_word_embeddings": true})";

UnfoldedLatentAttention attention(const Config& config, Maker& maker) {
  LatentOptions options = latent_options(config);
  options.scale = 1 / std::sqrt(static_cast<double>(options.plain_dims + options.rope_dims));
  options.eps = norm_eps(config);
  return {options, Rope(rope_settings(config, options.rope_dims)), maker};
}

struct Block : PreNormBlock<UnfoldedLatentAttention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("mlp_bias")),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings")) {}
};

}  // namespace

const Family kFamily{"youtu_llm", &make_module<Model>, &sanitize_plainly<true>};

}  // namespace mlxnx::llm::youtu_llm
