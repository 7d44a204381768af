// Qwen, the first. mlx-lm: models/qwen.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::qwen {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 24, "kv_channels": 128,
  "layer_norm_epsilon": 1e-6, "intermediate_size": 11008, "no_bias": true,
  "vocab_size": 151936})";

Config with_own_names(const Config& config) {
  return with_names(with_defaults(config, kDefaults),
                    {{"head_dim", "kv_channels"}, {"rms_norm_eps", "layer_norm_epsilon"}});
}

bool has_bias(const Config& config) { return !config.get<bool>("no_bias"); }

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "c_attn, c_proj, q_norm, k_norm"; }
};
struct Mlp : GatedMlp {
  static constexpr const char* member_names() { return "w2, c_proj, w1"; }
};

FusedAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = options.heads;
  options.bias = true;
  options.output_bias = has_bias(config);
  check_heads_fill(options);
  return {options, Rope({.dims = options.head_dim}), maker};
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {GatedMlp(hidden_size(config), size_in(config, "intermediate_size") / 2,
                               has_bias(config), maker)},
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
      : CausalLm(config, maker, false, Body{{config, maker}}) {
    lm_head = maker.linear(hidden_size(config), vocabulary_size(config), has_bias(config));
  }
};

}  // namespace

const Family kFamily{"qwen", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::qwen
