// MiMo. mlx-lm: models/mimo.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::mimo {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = true;
  options.output_bias = false;
  RopeSettings rope = rope_settings(config, options.head_dim);
  if (!rope.max_positions) rope.max_positions = 32'768;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

// Layers that guess further tokens stay unused.
void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, false));
  drop(weights, [](std::string_view name) { return name.starts_with("model.mtp_layers."); });
}

}  // namespace

const Family kFamily{"mimo", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::mimo
