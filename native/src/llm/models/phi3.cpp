// Phi-3 and Phi-4. mlx-lm: models/phi3.py
#include <cstddef>
#include <cstdint>
#include <optional>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::phi3 {
namespace {

// Factors of long texts are read from within, the length that they begin at from beside them.
std::optional<Config> scaling(const Config& config) {
  std::optional<Config> scaling = rope_scaling(config);
  if (!scaling) return scaling;
  require_rope_scaling(config, {"longrope", "su", "linear"});
  scaling->set("original_max_position_embeddings",
               config.get<std::int64_t>("original_max_position_embeddings", 4096));
  return scaling;
}

FusedAttention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  RopeSettings rope = rope_settings(
      config, rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor", 1)));
  rope.scaling = scaling(config);
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<FusedAttention, FusedGatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), fused_gated_mlp(config, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

}  // namespace

const Family kFamily = plain_family<Block, false>("phi3");

}  // namespace mlxnx::llm::phi3
