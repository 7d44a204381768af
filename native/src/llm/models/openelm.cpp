// OpenELM. mlx-lm: models/openelm.py
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::openelm {
namespace {

Config with_own_names(const Config& config) {
  return with_defaults(with_names(config, {{"hidden_size", "model_dim"},
                                           {"num_hidden_layers", "num_transformer_layers"}}),
                       R"({"rms_norm_eps": 1e-6})");
}

// What a list says of a layer.
template <typename T>
T each(const Config& config, std::string_view key, std::size_t layer) {
  const auto all = config.get<std::vector<T>>(key);
  if (all.size() != layer_count(config)) {
    throw FormatError(fmt::format("[load] {} has {} entries for {} layers", key, all.size(),
                                  layer_count(config)));
  }
  return all[layer];
}

// The multiple that is next to a size, and no more than a tenth below it.
std::int64_t rounded(double size, std::int64_t multiple) {
  const auto nearest = static_cast<std::int64_t>(size + static_cast<double>(multiple) / 2);
  const std::int64_t result = std::max(multiple, nearest / multiple * multiple);
  return static_cast<double>(result) < 0.9 * size ? result + multiple : result;
}

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "qkv_proj, out_proj, q_norm, k_norm"; }
};
struct Mlp : FusedGatedMlp {
  static constexpr const char* member_names() { return "proj_1, proj_2"; }
};

FusedAttention attention(const Config& config, std::size_t layer, Maker& maker) {
  Config own = config;
  own.set("num_attention_heads", each<std::int64_t>(config, "num_query_heads", layer));
  own.set("num_key_value_heads", each<std::int64_t>(config, "num_kv_heads", layer));
  AttentionOptions options = attention_options(own);
  if (config.get<bool>("normalize_qk_projections", true)) options.norm_eps = norm_eps(config);
  return {
      options,
      Rope({.dims = options.head_dim, .base = config.get<double>("rope_freq_constant", 10'000)}),
      maker};
}

FusedGatedMlp mlp(const Config& config, std::size_t layer, Maker& maker) {
  const auto factor = each<double>(config, "ffn_multipliers", layer);
  if (!(factor > 0 && factor <= 1000))
    throw FormatError(fmt::format("[load] ffn_multipliers has {}", factor));
  const double size = factor * static_cast<double>(hidden_size(config));
  return {hidden_size(config), rounded(size, size_in(config, "ffn_dim_divisor")), maker};
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, ffn, attn_norm, ffn_norm"; }

  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{{attention(config, layer, maker)},
                     {openelm::mlp(config, layer, maker)},
                     rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Body : Decoder<Block> {
  static constexpr const char* member_names() { return "token_embeddings, layers, norm"; }
};

struct Model : CausalLm<Block, Body> {
  static constexpr const char* member_names() { return "transformer, lm_head"; }

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, config.get<bool>("share_input_output_layers", true),
                 Body{{config, maker}}) {}
};

}  // namespace

const Family kFamily{"openelm", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::openelm
