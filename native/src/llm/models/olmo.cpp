// OLMo. mlx-lm: models/olmo.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::olmo {
namespace {

Config with_own_names(const Config& config) {
  return with_names(config, {{"hidden_size", "d_model"},
                             {"num_attention_heads", "n_heads"},
                             {"num_hidden_layers", "n_layers"},
                             {"vocab_size", "embedding_size"}});
}

FusedAttention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = options.heads;
  check_heads_fill(options);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

Norm norm(const Config& config) {
  return nn::LayerNorm({.dims = hidden_size(config), .affine = false});
}

std::int64_t doubled_hidden(const Config& config) {
  const std::int64_t size =
      size_in(config, "mlp_hidden_size", size_in(config, "mlp_ratio", 4) * hidden_size(config));
  if (size % 2 == 0) return size;
  throw FormatError(
      fmt::format("[load] mlp_hidden_size is {} in the settings, and is to be halved", size));
}

// Its members are the block's own, as are those of what follows.
struct SelfAttention : FusedAttention {
  static constexpr bool has_inline_members = true;
  static constexpr const char* member_names() { return "att_proj, attn_out, q_norm, k_norm"; }
};

struct Mlp {
  nn::Linear ff_proj, ff_out;
  MLXNX_INLINE_MEMBERS(ff_proj, ff_out)

  Mlp(std::int64_t dims, std::int64_t doubled, Maker& maker)
      : ff_proj(maker.linear(dims, doubled, false)),
        ff_out(maker.linear(doubled / 2, dims, false)) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor both = ff_proj(x);
    const auto [up, gate] = split(both, both.shape().back() / 2, {.axis = -1});
    return ff_out(gated(&nn::silu, gate, up));
  }
};

struct Block : PreNormBlock<SelfAttention, Mlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{{attention(config, maker)},
                     {hidden_size(config), doubled_hidden(config), maker},
                     norm(config),
                     norm(config)} {}
};

struct Transformer {
  nn::Embedding wte;
  std::vector<Block> blocks;
  std::optional<nn::Linear> ff_out;
  Norm norm;
  MLXNX_MEMBERS(wte, blocks, ff_out, norm)
};

struct Body {
  Transformer transformer;
  MLXNX_MEMBERS(transformer)
};

struct Model {
  Body model;
  MLXNX_MEMBERS(model)

  Model(const Config& given, Maker& maker) : Model(with_own_names(given), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    const Transformer& all = model.transformer;
    return through(all.blocks, all.wte(tokens), step, all.norm);
  }
  Tensor logits(const Tensor& h) const {
    const Transformer& all = model.transformer;
    return all.ff_out ? (*all.ff_out)(h) : all.wte.as_linear(h);
  }
  std::vector<LayerCache> make_cache() const {
    return full_caches(model.transformer.blocks.size());
  }

 private:
  Model(const Config& config, Maker& maker, int)
      : model{{maker.embedding(vocabulary_size(config), hidden_size(config)),
               make_layers<Block>(config, layer_count(config), maker), std::nullopt,
               norm(config)}} {
    if (!config.get<bool>("weight_tying", false)) {
      model.transformer.ff_out = maker.linear(hidden_size(config), vocabulary_size(config), false);
    }
  }
};

}  // namespace

const Family kFamily{"olmo", &make_module<Model>};

}  // namespace mlxnx::llm::olmo
