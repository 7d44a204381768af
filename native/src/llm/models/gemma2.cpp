// Gemma 2. mlx-lm: models/gemma2.py
#include <cmath>
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::gemma2 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.scale = 1 / std::sqrt(config.get<double>("query_pre_attn_scalar", 144));
  options.softcap = config.get<double>("attn_logit_softcapping", 50);
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.scaling.reset();
  return {options, Rope(rope), maker};
}

struct Block : SandwichBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : SandwichBlock{
            attention(config, maker),          gated_mlp(config, maker, false, &nn::gelu_approx),
            plus_one(rms_norm(config, maker)), plus_one(rms_norm(config, maker)),
            plus_one(rms_norm(config, maker)), plus_one(rms_norm(config, maker))} {}
};

struct Model : CausalLm<Block> {
  double scale, softcap;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, true, {config, maker, plus_one(rms_norm(config, maker))}),
        scale(std::sqrt(static_cast<double>(hidden_size(config)))),
        softcap(config.get<double>("final_logit_softcapping", 30)) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
  Tensor logits(const Tensor& h) const { return capped(CausalLm::logits(h), softcap); }
};

void sanitize(nn::Parameters& weights, const Config&) { drop_unused(weights, true); }

}  // namespace

const Family kFamily{"gemma2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gemma2
