// GLM-4-0414. mlx-lm: models/glm4.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::glm4 {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  options.output_bias = false;
  return {options,
          Rope({.dims = rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor")),
                .base = config.get<double>("rope_theta"),
                .traditional = config.get<bool>("rope_traditional", true)}),
          maker};
}

struct Block : SandwichBlock<Attention, FusedGatedMlp> {
  static constexpr const char* member_names() {
    return "self_attn, mlp, input_layernorm, post_self_attn_layernorm, "
           "post_attention_layernorm, post_mlp_layernorm";
  }

  Block(const Config& config, std::size_t, Maker& maker)
      : SandwichBlock{attention(config, maker), fused_gated_mlp(config, maker),
                      rms_norm(config, maker),  rms_norm(config, maker),
                      rms_norm(config, maker),  rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, false) {}
};

}  // namespace

const Family kFamily{"glm4", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::glm4
