// MiniCPM3. mlx-lm: models/minicpm3.py
#include <cmath>
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::minicpm3 {
namespace {

// Positions are always those of long texts; a factor that is not said is 1.
Rope rope_of(const Config& config, std::int64_t dims) {
  const std::optional<Config> given = rope_scaling(config);
  if (!given) throw FormatError("[load] rope_scaling is to be there, with long_factor");
  RopeSettings rope = rope_settings(config, dims, 1'000'000);
  rope.traditional = false;
  rope.scaling = with_defaults(*given, R"({"long_factor": [1.0],
                                           "original_max_position_embeddings": 4096})");
  rope.scaling->set("type", std::string("longrope"));
  return Rope(rope);
}

UnfoldedLatentAttention attention(Config config, Maker& maker) {
  config.set("v_head_dim", hidden_size(config) / size_in(config, "num_attention_heads"));
  LatentOptions options = latent_options(config);
  options.scale = 1 / std::sqrt(static_cast<double>(options.plain_dims + options.rope_dims));
  options.eps = 1e-5;
  return {options, rope_of(config, options.rope_dims), maker};
}

struct Block : PreNormBlock<UnfoldedLatentAttention, GatedMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), gated_mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker),
                     config.get<double>("scale_depth") /
                         std::sqrt(static_cast<double>(layer_count(config)))} {}
};

struct Model : CausalLm<Block> {
  double scale, divisor = 1;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, false)), scale(config.get<double>("scale_emb")) {
    // A head that is the embedding gets what comes out as it is.
    if (lm_head) {
      divisor = static_cast<double>(hidden_size(config)) /
                static_cast<double>(size_in(config, "dim_model_base"));
    }
  }
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * scale, step);
  }
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h / divisor); }
};

}  // namespace

const Family kFamily{"minicpm3", &make_module<Model>, &sanitize_plainly<false>};

}  // namespace mlxnx::llm::minicpm3
