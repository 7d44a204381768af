// Falcon H1: an attention and a state space side by side in each layer. mlx-lm:
// models/falcon_h1.py
#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::falcon_h1 {
namespace {

constexpr std::string_view kDefaults = R"({
  "attention_in_multiplier": 1.0, "attention_out_multiplier": 0.9375,
  "embedding_multiplier": 5.656854249492381, "head_dim": 64, "hidden_size": 1024,
  "intermediate_size": 2048, "lm_head_multiplier": 0.0390625, "mamba_d_conv": 4,
  "mamba_d_head": 64, "mamba_d_ssm": 1536, "mamba_d_state": 128, "mamba_n_groups": 1,
  "mamba_n_heads": 24, "max_position_embeddings": 131072,
  "mlp_multipliers": [0.8838834764831844, 0.5859375], "num_attention_heads": 8,
  "num_hidden_layers": 36, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
  "ssm_in_multiplier": 1.25,
  "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
  "ssm_out_multiplier": 0.23570226039551587, "vocab_size": 32784
})";

Mamba2Options mixer_options(const Config& config) {
  const Mamba2Options options{
      .dims = hidden_size(config),
      .heads = size_in(config, "mamba_n_heads"),
      .head_dim = size_in(config, "mamba_d_head"),
      .state_size = size_in(config, "mamba_d_state"),
      .groups = size_in(config, "mamba_n_groups"),
      .kernel = size_in(config, "mamba_d_conv"),
      .conv_bias = config.get<bool>("mamba_conv_bias", true),
      .bias = config.get<bool>("mamba_proj_bias", false),
      .output_bias = config.get<bool>("projectors_bias", false),
      .has_norm = config.get<bool>("mamba_rms_norm", false),
      .norm_eps = norm_eps(config),
      .gates_after_norm = config.get<bool>("mamba_norm_before_gate", false)};
  if (options.heads * options.head_dim != size_in(config, "mamba_d_ssm")) {
    throw FormatError(fmt::format("[load] mamba_d_ssm is {}, and there are {} heads of {}",
                                  size_in(config, "mamba_d_ssm"), options.heads, options.head_dim));
  }
  return options;
}

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  return {options, Rope(rope_settings(config, options.head_dim, 1e11)), maker};
}

struct Block {
  GatedMlp feed_forward;
  Mamba2Mixer mamba;
  Attention self_attn;
  nn::RMSNorm input_layernorm, pre_ff_layernorm;
  MLXNX_MEMBERS(feed_forward, mamba, self_attn, input_layernorm, pre_ff_layernorm)

  Block(const Config& config, std::size_t, Maker& maker)
      : feed_forward(hidden_size(config), size_in(config, "intermediate_size"),
                     config.get<bool>("mlp_bias", false), maker),
        mamba(mixer_options(config), maker),
        self_attn(attention(config, maker)),
        input_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))),
        pre_ff_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))) {}

  // A layer has two caches.
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = input_layernorm(x);
    const Tensor mixed = x + mamba(h, step, 2 * layer) + self_attn(h, step, 2 * layer + 1);
    return mixed + feed_forward(pre_ff_layernorm(mixed));
  }
};

struct Body : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "embed_tokens, layers, final_layernorm"; }
};

struct Model : CausalLm<Block, Body> {
  double scale = 1;  ///< of a tied head's answers

  Model(const Config& given, Maker& maker) : Model(maker, with_defaults(given, kDefaults)) {}
  Model(Maker& maker, const Config& config)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings", true)) {
    if (!lm_head) {
      scale = config.get<double>("lm_head_multiplier") / config.get<double>("embedding_multiplier");
    }
  }
  Tensor logits(const Tensor& h) const {
    const Tensor words = CausalLm::logits(h);
    return lm_head ? words : words * scale;
  }
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
      caches.emplace_back(recurrent_cache());
      caches.emplace_back(KeyValues{});
    }
    return caches;
  }
};

// A factor for each row of `in_proj`, whose parts are gate, values, B, C and times.
Tensor factors_of_parts(const Config& config) {
  const auto each = config.get<std::vector<double>>("ssm_multipliers");
  const std::int64_t inner = size_in(config, "mamba_d_ssm"),
                     part = size_in(config, "mamba_n_groups") * size_in(config, "mamba_d_state");
  const std::array<std::int64_t, 5> sizes{inner, inner, part, part,
                                          size_in(config, "mamba_n_heads")};
  if (each.size() != sizes.size())
    throw FormatError(
        fmt::format("[load] ssm_multipliers has {} numbers, 5 are wanted", each.size()));
  std::vector<Tensor> rows;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    rows.push_back(constant(each[i], DType::f32, {sizes[i], 1}));
  return concatenate(rows) * config.get<double>("ssm_in_multiplier");
}

// Published weights want factors in front of their products; converted ones have them inside.
void sanitize(nn::Parameters& weights, const Config& given) {
  drop_tied_head(weights, given.get<bool>("tie_word_embeddings", true));
  if (!take_published_convs(weights)) return;
  const Config config = with_defaults(given, kDefaults);
  const auto gates = config.get<std::vector<double>>("mlp_multipliers");
  if (gates.size() != 2)
    throw FormatError(
        fmt::format("[load] mlp_multipliers has {} numbers, 2 are wanted", gates.size()));
  const std::array<std::pair<std::string_view, double>, 8> factors{{
      {"embed_tokens.weight", config.get<double>("embedding_multiplier")},
      {"lm_head.weight", config.get<double>("lm_head_multiplier")},
      {"q_proj.weight", config.get<double>("attention_in_multiplier")},
      {"k_proj.weight", config.get<double>("attention_in_multiplier")},
      {".o_proj.weight", config.get<double>("attention_out_multiplier")},
      {"out_proj.weight", config.get<double>("ssm_out_multiplier")},
      {"gate_proj.weight", gates[0]},
      {"down_proj.weight", gates[1]},
  }};
  const Tensor parts = factors_of_parts(config);
  for (auto& [name, tensor] : weights) {
    for (const auto& [suffix, factor] : factors) {
      if (name.ends_with(suffix)) tensor *= factor;
    }
    if (name.ends_with("in_proj.weight")) tensor *= as_type(parts, tensor.dtype());
  }
}

}  // namespace

const Family kFamily{"falcon_h1", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::falcon_h1
