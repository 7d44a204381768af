// Qwen2 and Qwen2.5. mlx-lm: models/qwen2.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::qwen2 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = true;
  options.output_bias = false;
  RopeSettings rope = rope_settings(config, options.head_dim, 1'000'000);
  if (!rope.max_positions) rope.max_positions = 32'768;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, true>("qwen2");

}  // namespace mlxnx::llm::qwen2
