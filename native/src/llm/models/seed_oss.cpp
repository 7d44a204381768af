// Seed-OSS. mlx-lm: models/seed_oss.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::seed_oss {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.output_bias = config.get<bool>("attention_out_bias", false);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("mlp_bias", false)),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, true>("seed_oss");

}  // namespace mlxnx::llm::seed_oss
