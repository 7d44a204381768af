// Gemma. mlx-lm: models/gemma.py
#include <cmath>
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::gemma {
namespace {

Attention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.scaling.reset();
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker, false, &nn::gelu),
                     plus_one(rms_norm(config, maker)), plus_one(rms_norm(config, maker))} {}
};

struct Model : CausalLm<Block> {
  double scale;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, true, {config, maker, plus_one(rms_norm(config, maker))}),
        scale(std::sqrt(static_cast<double>(hidden_size(config)))) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
};

void sanitize(nn::Parameters& weights, const Config&) { drop_unused(weights, true); }

}  // namespace

const Family kFamily{"gemma", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gemma
