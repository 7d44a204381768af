// GPT-NeoX and Pythia. mlx-lm: models/gpt_neox.py
#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::gpt_neox {
namespace {

FusedAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = options.heads;
  check_heads_fill(options);
  options.bias = true;
  return {options,
          Rope({.dims = rotary_dims(options.head_dim, config.get<double>("rotary_pct")),
                .base = config.get<double>("rotary_emb_base")}),
          maker, true};
}

struct SelfAttention : FusedAttention {
  static constexpr const char* member_names() { return "query_key_value, dense, q_norm, k_norm"; }
};
struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "dense_h_to_4h, dense_4h_to_h"; }
};

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("layer_norm_eps"));
}

struct Block : PreNormBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() {
    return "attention, mlp, input_layernorm, post_attention_layernorm";
  }
  bool is_parallel;

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {PlainMlp(hidden_size(config), 4 * hidden_size(config), true, maker,
                               &nn::gelu_approx)},
                     norm(config, maker),
                     norm(config, maker)},
        is_parallel(config.get<bool>("use_parallel_residual", true)) {}
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    if (!is_parallel) return PreNormBlock::operator()(x, step, layer);
    return self_attn(input_layernorm(x), step, layer) + mlp(post_attention_layernorm(x)) + x;
  }
};

struct Body {
  nn::Embedding embed_in;
  nn::Linear embed_out;
  std::vector<Block> h;
  Norm final_layer_norm;
  MLXNX_MEMBERS(embed_in, embed_out, h, final_layer_norm)
};

struct Model {
  Body model;
  MLXNX_MEMBERS(model)

  Model(const Config& config, Maker& maker)
      : model{maker.embedding(vocabulary_size(config), hidden_size(config)),
              maker.linear(hidden_size(config), vocabulary_size(config), false),
              make_layers<Block>(config, layer_count(config), maker), norm(config, maker)} {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return through(model.h, model.embed_in(tokens), step, model.final_layer_norm);
  }
  Tensor logits(const Tensor& h) const { return model.embed_out(h); }
  std::vector<LayerCache> make_cache() const { return full_caches(model.h.size()); }
};

void sanitize(nn::Parameters& weights, const Config&) {
  rename(weights, [](std::string_view name) -> std::string {
    if (name.ends_with(".attention.bias") || name.ends_with(".attention.masked_bias") ||
        name.ends_with(".attention.rotary_emb.inv_freq")) {
      return "";
    }
    const std::string own =
        name.starts_with("model.") ? std::string(name) : fmt::format("model.{}", name);
    return replaced(replaced(own, ".gpt_neox.layers.", ".h."), ".gpt_neox.", ".");
  });
}

}  // namespace

const Family kFamily{"gpt_neox", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gpt_neox
