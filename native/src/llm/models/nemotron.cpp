// Nemotron-4 and Minitron. mlx-lm: models/nemotron.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::nemotron {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  RopeSettings rope = rope_settings(
      config, rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor", 0.5)));
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

Norm norm(const Config& config, Maker& maker) {
  return plus_one(layer_norm(config, maker, config.get<double>("norm_eps")));
}

struct Block : PreNormBlock<Attention, PlainMlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     plain_mlp(config, maker, config.get<bool>("mlp_bias", false), &nn::relu2),
                     norm(config, maker), norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, is_tied(config, false), {config, maker, norm(config, maker)}) {
    require_rope_scaling(config, {"linear"});
  }
};

}  // namespace

const Family kFamily{"nemotron", &make_module<Model>, &sanitize_plainly<false>};

}  // namespace mlxnx::llm::nemotron
