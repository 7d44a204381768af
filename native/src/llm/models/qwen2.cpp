// Qwen2 and Qwen2.5. mlx-lm: models/qwen2.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm {
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

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, true)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, true));
}

}  // namespace

const Family kQwen2{"qwen2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm
