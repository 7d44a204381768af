// Gemma 2. mlx-lm: models/gemma2.py
#include <cmath>
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::gemma2 {
namespace {

// Null is no cap, which the family's definition knows.
double cap(const Config& config, std::string_view key, double absent) {
  return config.is_null(key) ? 0 : config.get<double>(key, absent);
}

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.scale = 1 / std::sqrt(config.get<double>("query_pre_attn_scalar", 144));
  options.softcap = cap(config, "attn_logit_softcapping", 50);
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
        softcap(cap(config, "final_logit_softcapping", 30)) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
  Tensor logits(const Tensor& h) const {
    const Tensor plain = CausalLm::logits(h);
    return softcap == 0 ? plain : capped(plain, softcap);
  }
};

void sanitize(nn::Parameters& weights, const Config&) { drop_unused(weights, true); }

}  // namespace

const Family kFamily{"gemma2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gemma2
