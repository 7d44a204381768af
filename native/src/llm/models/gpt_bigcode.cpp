// StarCoder and SantaCoder. mlx-lm: models/gpt_bigcode.py
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"

namespace mlxnx::llm::gpt_bigcode {
namespace {

Config with_own_names(const Config& config) {
  return with_names(config, {{"hidden_size", "n_embd"},
                             {"num_attention_heads", "n_head"},
                             {"num_hidden_layers", "n_layer"},
                             {"intermediate_size", "n_inner"}});
}

FusedAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = config.get<bool>("multi_query", true) ? 1 : options.heads;
  options.bias = config.get<bool>("attention_bias", true);
  check_heads_fill(options);
  return {options, std::nullopt, maker};
}

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "c_attn, c_proj, q_norm, k_norm"; }
};
struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "c_fc, c_proj"; }
};

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("layer_norm_epsilon"));
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() { return "attn, mlp, ln_1, ln_2"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {plain_mlp(config, maker, config.get<bool>("mlp_bias", true), &nn::gelu)},
                     norm(config, maker),
                     norm(config, maker)} {}
};

struct Model {
  GptBody<Block> transformer;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(transformer, lm_head)

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const { return transformer(tokens, step); }
  Tensor logits(const Tensor& h) const {
    return lm_head ? (*lm_head)(h) : transformer.wte.as_linear(h);
  }
  std::vector<LayerCache> make_cache() const { return full_caches(transformer.h.size()); }

 private:
  Model(const Config& config, Maker& maker, int) : transformer(config, maker, norm(config, maker)) {
    if (!is_tied(config, true))
      lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }
};

void sanitize(nn::Parameters& weights, const Config&) {
  drop_unused(weights, false);
  drop(weights, [](std::string_view name) {
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
  });
}

}  // namespace

const Family kFamily{.name = "gpt_bigcode",
                     .make = &make_module<Model>,
                     .sanitize = &sanitize,
                     .has_table_of_positions = true};

}  // namespace mlxnx::llm::gpt_bigcode
