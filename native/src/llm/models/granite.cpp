// Granite. mlx-lm: models/granite.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::granite {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  options.scale = config.get<double>("attention_multiplier");
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     gated_mlp(config, maker, config.get<bool>("mlp_bias", false)),
                     rms_norm(config, maker), rms_norm(config, maker),
                     config.get<double>("residual_multiplier")} {}
};

struct Model : CausalLm<Block> {
  double scale, divisor;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, true)),
        scale(config.get<double>("embedding_multiplier")),
        divisor(config.get<double>("logits_scaling")) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h) / divisor; }
};

}  // namespace

const Family kFamily{"granite", &make_module<Model>, &sanitize_plainly<true>};

}  // namespace mlxnx::llm::granite
