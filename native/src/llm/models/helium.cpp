// Helium. mlx-lm: models/helium.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::helium {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  options.output_bias = false;
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta"),
                .traditional = true}),
          maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("mlp_bias")),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, false>("helium");

}  // namespace mlxnx::llm::helium
