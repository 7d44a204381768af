// MiniCPM. mlx-lm: models/minicpm.py
#include <cmath>
#include <cstddef>
#include <string>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::minicpm {
namespace {

Attention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  return {options, Rope(rope_settings(config, options.head_dim, 1'000'000)), maker};
}

struct Block : PreNormBlock<Attention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker),
                     config.get<double>("scale_depth") /
                         std::sqrt(static_cast<double>(layer_count(config)))} {}
};

struct Model : CausalLm<Block> {
  double scale, divisor;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, false),
        scale(config.get<double>("scale_emb")),
        divisor(static_cast<double>(hidden_size(config)) /
                static_cast<double>(size_in(config, "dim_model_base"))) {
    if (is_tied(config, false)) {
      throw UnsupportedError(
          "[load] tie_word_embeddings is true; this family copies the embedding to a head of its "
          "own, and wants false");
    }
  }
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h / divisor); }
};

// A head that is not there is the embedding.
void sanitize(nn::Parameters& weights, const Config&) {
  drop_unused(weights, false);
  if (weights.contains("lm_head.weight")) return;
  for (const char* part : {"weight", "scales", "biases"}) {
    const auto found = weights.find(std::string("model.embed_tokens.") + part);
    if (found != weights.end()) weights.emplace(std::string("lm_head.") + part, found->second);
  }
}

}  // namespace

const Family kFamily{"minicpm", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::minicpm
