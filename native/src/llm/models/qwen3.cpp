// Qwen3. mlx-lm: models/qwen3.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::qwen3 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, false>("qwen3");

}  // namespace mlxnx::llm::qwen3
