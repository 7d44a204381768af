// Qwen 3 Next: linear attentions by the delta rule, every fourth a gated one, and experts. mlx-lm:
// models/qwen3_next.py
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/delta_block.h"
#include "llm/parts/gated_delta.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::qwen3_next {
namespace {

// One matrix answers, for each head of keys, its query, its key, and the values and gates of the
// heads that share them.
struct LinearAttention : GatedDelta {
  nn::Linear in_proj_qkvz, in_proj_ba;
  MLXNX_MEMBERS(conv1d, in_proj_qkvz, in_proj_ba, dt_bias, A_log, norm, out_proj)

  LinearAttention(const Config& config, Maker& maker)
      : GatedDelta(config, maker),
        in_proj_qkvz(maker.linear(hidden_size(config), 2 * (keys_size() + values_size()), false)),
        in_proj_ba(maker.linear(hidden_size(config), 2 * heads, false)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const std::int64_t sharing = heads / key_heads;
    const auto shaped = [&](const Tensor& of, const std::vector<std::int64_t>& rest) {
      Shape shape{step.batch(), step.length()};
      for (const std::int64_t size : rest) shape.push_back(size);
      return reshape(of, shape);
    };
    const auto [q, kvz] = split(shaped(in_proj_qkvz(x), {key_heads, -1}), key_dim, {.axis = -1});
    const auto [k, vz] = split(kvz, key_dim, {.axis = -1});
    const auto [v, z] = split(vz, sharing * value_dim, {.axis = -1});
    const auto [b, a] = split(shaped(in_proj_ba(x), {key_heads, -1}), sharing, {.axis = -1});
    const Tensor qkv =
        concatenate({shaped(q, {-1}), shaped(k, {-1}), shaped(v, {-1})}, {.axis = -1});
    return finish(qkv, shaped(z, {heads, value_dim}), shaped(a, {heads}), shaped(b, {heads}), step,
                  layer);
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  const bool has_experts_apart = std::ranges::any_of(weights, [](const auto& entry) {
    return entry.first.ends_with(".mlp.experts.0.up_proj.weight");
  });
  const bool is_published = take_published_convs(weights) || has_experts_apart;
  if (!is_published) return;
  drop(weights, [](std::string_view name) { return name.find("mtp.") != std::string_view::npos; });
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", false));
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("num_experts", 0));
  add_one_to_norms(weights);
}

}  // namespace

const Family kFamily{"qwen3_next", &make_module<DeltaLm<LinearAttention>>, &sanitize};

}  // namespace mlxnx::llm::qwen3_next
