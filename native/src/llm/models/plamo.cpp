// PLaMo. mlx-lm: models/plamo.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::plamo {
namespace {

// Keys and values are shared by heads that lie apart: head h has those of h modulo their number.
struct SelfAttention : Attention {
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const std::int64_t shares = heads / kv_heads;
    const Tensor result = AttentionCore::operator()(swapped(q_proj(x), shares, kv_heads), k_proj(x),
                                                    v_proj(x), step, layer);
    return o_proj(swapped(result, kv_heads, shares));
  }

 private:
  // Heads that are numbered by rows of a table become those by its columns.
  static Tensor swapped(const Tensor& x, std::int64_t rows, std::int64_t columns) {
    const Shape& shape = x.shape();
    const Tensor table = reshape(x, {shape[0], shape[1], rows, columns, -1});
    return reshape(transpose(table, {.axes = Axes{0, 1, 3, 2, 4}}), shape);
  }
};

Attention attention(const Config& given, Maker& maker) {
  Config config = given;
  const std::int64_t heads = size_in(config, "num_attention_heads");
  const std::int64_t shares = size_in(config, "n_shared_head", 8);
  config.set("num_key_value_heads", (heads + shares - 1) / shares);
  if (heads % shares != 0) {
    throw FormatError(fmt::format(
        "[load] n_shared_head is {} in the settings, and there are {} heads", shares, heads));
  }
  const AttentionOptions options = attention_options(config);
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.scaling.reset();
  return {options, Rope(rope), maker};
}

struct Block : ParallelBlock<SelfAttention, GatedMlp> {
  static constexpr const char* member_names() { return "self_attn, mlp, norm"; }

  Block(const Config& config, std::size_t, Maker& maker)
      : ParallelBlock{
            {attention(config, maker)}, gated_mlp(config, maker), rms_norm(config, maker)} {}
};

struct Layers {
  std::vector<Block> layers;
  MLXNX_MEMBERS(layers)
};

struct Body {
  nn::Embedding embed_tokens;
  Layers layers;
  Norm norm;
  MLXNX_MEMBERS(embed_tokens, layers, norm)
};

struct Model {
  Body model;
  nn::Linear lm_head;
  MLXNX_MEMBERS(model, lm_head)

  Model(const Config& config, Maker& maker)
      : model{maker.embedding(vocabulary_size(config), hidden_size(config)),
              {make_layers<Block>(config, layer_count(config), maker)},
              rms_norm(config, maker)},
        lm_head(maker.linear(hidden_size(config), vocabulary_size(config), false)) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return through(model.layers.layers, model.embed_tokens(tokens), step, model.norm);
  }
  Tensor logits(const Tensor& h) const { return lm_head(h); }
  std::vector<LayerCache> make_cache() const { return full_caches(model.layers.layers.size()); }
};

}  // namespace

const Family kFamily{"plamo", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::plamo
