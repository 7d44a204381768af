// ERNIE 4.5 without experts. mlx-lm: models/ernie4_5.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::ernie4_5 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("use_bias");
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = true;
  rope.scaling.reset();
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("use_bias")),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, false>("ernie4_5");

}  // namespace mlxnx::llm::ernie4_5
