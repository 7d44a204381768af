// DeepSeek-V3.2. mlx-lm: models/deepseek_v32.py
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/moe.h"
#include "llm/parts/norm.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::deepseek_v32 {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 102400, "hidden_size": 4096, "index_head_dim": 128, "index_n_heads": 64,
  "index_topk": 2048, "intermediate_size": 11008, "moe_intermediate_size": 1407,
  "num_hidden_layers": 30, "num_attention_heads": 32, "kv_lora_rank": 512, "q_lora_rank": 1536,
  "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "num_experts_per_tok": 1,
  "rms_norm_eps": 1e-6, "max_position_embeddings": 2048})";

// Says which of the keys are worth attending to, by products of its own.
struct Indexer {
  nn::Linear wq_b, wk;
  Norm k_norm;
  nn::Linear weights_proj;
  MLXNX_MEMBERS(wq_b, wk, k_norm, weights_proj)
  Rope rope;
  std::int64_t heads, count;

  // u8 `[batch, 1, length, keys]`, none while there are no more than it keeps.
  std::optional<Tensor> operator()(const Tensor& x, const Tensor& queries_from, Step& step,
                                   std::size_t layer) const {
    const Tensor queries = rope(to_heads(wq_b(queries_from), heads), step);
    const Tensor key = rope(new_axis(k_norm(wk(x)), 1), step);
    // Nothing is remembered beside the keys.
    const Attended attended =
        step.attend(layer, key, constant(0.0, key.dtype(), {key.shape()[0], 1, step.length(), 1}));
    if (attended.keys.quantized)
      throw UnsupportedError("[attend] latent attention takes no quantized cache: leave it dense");
    const Tensor& keys = *attended.keys.dense;
    const std::int64_t length = keys.shape()[2];
    if (length <= count) return std::nullopt;
    const Tensor products =
        max(dot(queries, {3}, {0}, squeeze(keys, {.axes = Axes{1}}), {2}, {0}), Tensor(0.0F));
    const double by = 1 / std::sqrt(static_cast<double>(heads * keys.shape()[3]));
    const Tensor weights = transpose(weights_proj(x) * by, {.axes = Axes{0, 2, 1}});
    Tensor scores = sum(as_type(products, x.dtype()) * new_axis(weights, -1),
                        {.axes = Axes{1}, .keep_axes = true});
    if (attended.mask || attended.causal) {
      const Tensor seen = broadcast(mask_of(attended, step.length(), length), scores.shape());
      const double least = -std::numeric_limits<double>::infinity();
      scores = select(seen, scores, constant(least, scores.dtype(), scores.shape()));
    }
    const Tensor places = argsort(scores, {.axis = -1, .direction = Direction::kDescending});
    return argsort(places, {.axis = -1}) < count;
  }
};

Indexer indexer(const Config& config, Maker& maker) {
  const std::int64_t heads = size_in(config, "index_n_heads"),
                     size = size_in(config, "index_head_dim");
  RopeSettings rope = rope_settings(config, size_in(config, "qk_rope_head_dim"));
  rope.traditional = config.get<bool>("indexer_rope_interleave", false);
  return {.wq_b = maker.linear(size_in(config, "q_lora_rank"), heads * size, false),
          .wk = maker.linear(hidden_size(config), size, false),
          .k_norm = maker.layer_norm(size, 1e-5),
          .weights_proj = maker.linear(hidden_size(config), heads, false),
          .rope = Rope(rope),
          .heads = heads,
          .count = size_in(config, "index_topk")};
}

struct SparseAttention : LatentAttention {
  Indexer indexer;
  MLXNX_MEMBERS(q_proj, q_a_proj, q_a_layernorm, q_b_proj, kv_a_proj_with_mqa, kv_a_layernorm,
                o_proj, embed_q, unembed_out, indexer)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const LatentRows some = rows(x, step);
    const std::optional<Tensor> chosen = indexer(x, *some.query_latent, step, 2 * layer + 1);
    return attend(some, step, 2 * layer, chosen);
  }
};

SparseAttention attention(const Config& config, Maker& maker) {
  const LatentOptions options = latent_options(config);
  RopeSettings rope = rope_settings(config, options.rope_dims);
  rope.traditional = true;
  return {LatentAttention(options, Rope(rope), maker), indexer(config, maker)};
}

struct Block : PreNormBlock<SparseAttention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), deepseek_mlp(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(with_defaults(config, kDefaults), maker, false) {}
  std::vector<LayerCache> make_cache() const { return full_caches(2 * model.layers.size()); }
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  const std::size_t layers = layer_count(config);
  drop_layers_past(weights, layers);
  stack_layers_of_experts(weights, layers, "mlp", config.get<std::int64_t>("n_routed_experts", 0));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    split_latent_matrix(weights, fmt::format("model.layers.{}.self_attn", layer),
                        latent_options(config));
  }
}

}  // namespace

const Family kFamily{"deepseek_v32", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::deepseek_v32
