// GLM-4 and GLM-Edge as transformers has them. mlx-lm: models/glm.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::glm {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.output_bias = false;
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta", 10'000),
                .traditional = true}),
          maker};
}

struct Block : PreNormBlock<Attention, FusedGatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), fused_gated_mlp(config, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, true>("glm");

}  // namespace mlxnx::llm::glm
