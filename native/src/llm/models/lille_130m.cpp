// Lille 130M. mlx-lm: models/lille-130m.py
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::lille_130m {
namespace {

Config with_own_names(const Config& config) {
  return with_names(config, {{"hidden_size", "n_embd"},
                             {"num_attention_heads", "n_head"},
                             {"num_key_value_heads", "n_kv_heads"},
                             {"num_hidden_layers", "n_layer"},
                             {"rms_norm_eps", "layer_norm_eps"}});
}

FusedAttention attention(const Config& config, Maker& maker) {
  const AttentionOptions options = attention_options(config);
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta"),
                .traditional = true}),
          maker};
}

// The multiple of 256 that is next to 8/3 of the model's size; halves go to the even one.
std::int64_t hidden(const Config& config) {
  const std::int64_t wanted = 8 * hidden_size(config) / 3;
  return 256 * static_cast<std::int64_t>(std::nearbyint(static_cast<double>(wanted) / 256));
}

struct Joined : FusedAttention {
  static constexpr bool has_inline_members = true;
  static constexpr const char* member_names() { return "qkv_proj, out_proj, q_norm, k_norm"; }
};
struct Gated : GatedMlp {
  static constexpr bool has_inline_members = true;
};

struct NormedAttention {
  Joined attention;
  Norm norm;
  MLXNX_MEMBERS(attention, norm)
};
struct NormedMlp {
  Gated mlp;
  Norm norm;
  MLXNX_MEMBERS(mlp, norm)
};

struct Block {
  NormedAttention attention;
  NormedMlp feed_forward;
  MLXNX_MEMBERS(attention, feed_forward)

  Block(const Config& config, std::size_t, Maker& maker)
      : attention{{lille_130m::attention(config, maker)}, rms_norm(config, maker)},
        feed_forward{{{hidden_size(config), hidden(config), false, maker}},
                     rms_norm(config, maker)} {}
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = x + attention.attention(attention.norm(x), step, layer);
    return h + feed_forward.mlp(feed_forward.norm(h));
  }
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "tok_embeddings, layers, norm"; }
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "transformer, lm_head"; }

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, true, Body{{config, maker}}) {}
};

void sanitize(nn::Parameters& weights, const Config&) {
  drop_unused(weights, true);
  drop(weights,
       [](std::string_view name) { return name.find("rotary_emb") != std::string_view::npos; });
}

}  // namespace

const Family kFamily{"lille-130m", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::lille_130m
