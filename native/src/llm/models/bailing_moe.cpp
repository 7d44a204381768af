// Ling and Ring. mlx-lm: models/bailing_moe.py
#include <cstddef>
#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/bailing.h"
#include "llm/parts/block.h"

namespace mlxnx::llm::bailing_moe {
namespace {

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() {
    return "query_key_value, dense, query_layernorm, key_layernorm";
  }
};

SelfAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("use_qkv_bias", false);
  options.output_bias = config.get<bool>("use_bias", false);
  if (config.get<bool>("use_qk_norm", false)) options.norm_eps = norm_eps(config);
  const std::int64_t turned =
      config.contains("rotary_dim")
          ? size_in(config, "rotary_dim")
          : rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor", 1.0));
  RopeSettings rope = rope_settings(config, turned);
  rope.traditional = false;
  return {FusedAttention(options, Rope(rope), maker)};
}

struct Block : PreNormBlock<SelfAttention, BailingMlp> {
  static constexpr const char* member_names() {
    return "attention, mlp, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), bailing_mlp(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block, BailingBody<Block>> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

}  // namespace

const Family kFamily{"bailing_moe", &make_module<Model>, &sanitize_bailing};

}  // namespace mlxnx::llm::bailing_moe
