// EXAONE 3 and 3.5. mlx-lm: models/exaone.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::exaone {
namespace {

Config with_own_names(const Config& config) {
  return with_names(config,
                    {{"num_hidden_layers", "num_layers"}, {"rms_norm_eps", "layer_norm_epsilon"}});
}

struct SelfAttention : Attention {
  static constexpr const char* member_names() {
    return "q_proj, k_proj, v_proj, out_proj, q_norm, k_norm";
  }
};

struct Nested {
  SelfAttention attention;
  MLXNX_MEMBERS(attention)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    return attention(x, step, layer);
  }
};

struct Mlp : GatedMlp {
  static constexpr const char* member_names() { return "c_fc_0, c_proj, c_fc_1"; }
};

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PreNormBlock<Nested, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{{attention(config, maker)}},
                     {gated_mlp(config, maker, config.get<bool>("mlp_bias", false))},
                     rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "wte, h, ln_f"; }
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "transformer, lm_head"; }

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, is_tied(config, true), Body{{config, maker}}) {}
};

}  // namespace

const Family kFamily{"exaone", &make_module<Model>, &sanitize_plainly<true>};

}  // namespace mlxnx::llm::exaone
