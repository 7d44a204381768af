// Hunyuan-Large. mlx-lm: models/hunyuan.py
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::hunyuan {
namespace {

// Keys and values as they come from their matrices, which some layers take from an earlier one.
using Projected = std::optional<std::pair<Tensor, Tensor>>;

bool projects(const Config& config, std::size_t layer) {
  return !config.get<bool>("use_cla") ||
         static_cast<std::int64_t>(layer) % size_in(config, "cla_share_factor") == 0;
}

struct SelfAttention : AttentionCore {
  nn::Linear q_proj;
  std::optional<nn::Linear> k_proj, v_proj;
  nn::Linear o_proj;
  std::optional<Norm> query_layernorm, key_layernorm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, query_layernorm, key_layernorm)

  SelfAttention(const AttentionOptions& options, bool has_own, Rope rope, Maker& maker)
      : AttentionCore(options, std::move(rope)),
        q_proj(maker.linear(options.dims, options.heads * options.head_dim, options.bias)),
        o_proj(maker.linear(options.heads * options.head_dim, options.dims, options.bias)) {
    norms_last = true;
    if (options.norm_eps) {
      query_layernorm = maker.rms_norm(options.head_dim, *options.norm_eps);
      key_layernorm = query_layernorm;
    }
    if (!has_own) return;
    k_proj = maker.linear(options.dims, options.kv_heads * options.head_dim, options.bias);
    v_proj = k_proj;
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer, Projected& shared) const {
    if (k_proj) shared = std::pair((*k_proj)(x), (*v_proj)(x));
    return o_proj(AttentionCore::operator()(q_proj(x), shared->first, shared->second, step, layer,
                                            query_layernorm, key_layernorm));
  }
};

SelfAttention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("attention_bias");
  if (config.get<bool>("use_qk_norm")) options.norm_eps = norm_eps(config);
  const auto size = static_cast<double>(options.head_dim);
  const auto alpha = config.get<Config>("rope_scaling").get<double>("alpha");
  const double base =
      config.get<double>("rope_theta") * std::pow(alpha, size / std::max(size - 2, 1.0));
  return {options, projects(config, layer), Rope({.dims = options.head_dim, .base = base}), maker};
}

// A number, or one for each layer.
template <typename T>
T of_layer(const Config& config, std::string_view key, std::size_t layer) {
  if (!config.holds_list(key)) return config.get<T>(key);
  const auto each = config.get<std::vector<T>>(key);
  if (layer < each.size()) return each[layer];
  throw FormatError(
      fmt::format("[load] {} has {} entries, none for the layer {}", key, each.size(), layer));
}

struct Gate {
  nn::Linear wg;
  MLXNX_MEMBERS(wg)
};

struct Experts {
  std::optional<GatedMlp> shared_mlp;
  Gate gate;
  SwitchGlu switch_mlp;
  MLXNX_MEMBERS(shared_mlp, gate, switch_mlp)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(gate.wg(x), routing);
    const Tensor y = mixed(switch_mlp(x, routed.experts), as_type(routed.scores, DType::f32));
    return shared_mlp ? y + (*shared_mlp)(x) : y;
  }
};

Experts experts(const Config& config, std::size_t layer, Maker& maker) {
  const std::int64_t dims = hidden_size(config), count = size_in(config, "num_experts");
  const std::int64_t width = size_in(config, "intermediate_size");
  const auto hidden = config.contains("moe_intermediate_size")
                          ? of_layer<std::int64_t>(config, "moe_intermediate_size", layer)
                          : width;
  if (hidden < 1) throw FormatError(fmt::format("[load] moe_intermediate_size is {}", hidden));
  Experts result{
      .shared_mlp = {},
      .gate = {maker.linear(dims, count, false)},
      .switch_mlp = SwitchGlu(dims, hidden, count, maker),
      .routing = {.experts = count, .count = of_layer<std::int64_t>(config, "moe_topk", layer)}};
  check(result.routing);
  if (config.get<bool>("use_mixed_mlp_moe")) {
    const double shared = of_layer<double>(config, "num_shared_expert", layer);
    const auto all = static_cast<std::int64_t>(static_cast<double>(width) * shared);
    if (all < 1) throw FormatError(fmt::format("[load] num_shared_expert is {}", shared));
    result.shared_mlp.emplace(dims, all, false, maker);
  }
  return result;
}

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (config.get<std::int64_t>("num_experts") == 1) return gated_mlp(config, maker);
  return experts(config, layer, maker);
}

struct Block {
  SelfAttention self_attn;
  Mlp mlp;
  Norm input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm)

  Block(const Config& config, std::size_t layer, Maker& maker)
      : self_attn(attention(config, layer, maker)),
        mlp(feed_forward(config, layer, maker)),
        input_layernorm(rms_norm(config, maker)),
        post_attention_layernorm(rms_norm(config, maker)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer, Projected& shared) const {
    const Tensor h = x + self_attn(input_layernorm(x), step, layer, shared);
    return h + run(mlp, post_attention_layernorm(h));
  }
};

struct Body : Decoder<Block> {
  using Decoder::Decoder;
  Tensor operator()(const Tensor& tokens, Step& step) const {
    Tensor h = embed_tokens(tokens);
    Projected shared;
    for (std::size_t layer = 0; layer < layers.size(); ++layer)
      h = layers[layer](h, step, layer, shared);
    return norm(h);
  }
};

struct Model {
  Body model;
  MLXNX_MEMBERS(model)

  Model(const Config& config, Maker& maker) : model(config, maker) {}
  Tensor hidden(const Tensor& tokens, Step& step) const { return model(tokens, step); }
  Tensor logits(const Tensor& h) const { return model.embed_tokens.as_linear(h); }
  std::vector<LayerCache> make_cache() const { return full_caches(model.layers.size()); }
};

// For each head of keys the queries that share it, the key and the value, in one matrix.
void split_projections(nn::Parameters& weights, const std::string& name,
                       const AttentionOptions& sizes) {
  const auto found = weights.find(name);
  const Tensor all = found->second;
  weights.erase(found);
  const std::int64_t groups = sizes.heads / sizes.kv_heads, size = sizes.dims / sizes.heads;
  if (all.rank() == 0 || all.shape()[0] != sizes.kv_heads * (groups + 2) * size) {
    throw FormatError(fmt::format("[load] {} is {}, and {} heads and twice {} of {} are wanted",
                                  name, to_string(all.type()), sizes.heads, sizes.kv_heads, size));
  }
  const Tensor apart = reshape(all, {sizes.kv_heads, groups + 2, size, -1});
  const auto put = [&](const char* part, std::int64_t from, std::int64_t count) {
    Shape shape = all.shape();
    shape[0] = sizes.kv_heads * count * size;
    weights.insert_or_assign(replaced(name, "qkv_proj", part),
                             reshape(slice_along_axis(apart, from, count, {.axis = 1}), shape));
  };
  put("q_proj", 0, groups);
  put("k_proj", groups, 1);
  put("v_proj", groups + 1, 1);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  if (weights.contains("model.layers.0.mlp.gate_and_up_proj.weight")) {
    const AttentionOptions sizes = attention_options(config);
    std::vector<std::string> names;
    for (const auto& [name, tensor] : weights) names.push_back(name);
    for (const std::string& name : names) {
      if (name.find("qkv_proj") != std::string::npos) {
        split_projections(weights, name, sizes);
      } else if (name.find("gate_and_up_proj") != std::string::npos) {
        const Tensor both = weights.at(name);
        weights.erase(name);
        if (both.rank() == 0 || both.shape()[0] < 2)
          throw FormatError(fmt::format("[load] {} is {}", name, to_string(both.type())));
        auto [up, gate] = split(both, both.shape()[0] / 2, {.axis = 0});
        weights.insert_or_assign(replaced(name, "gate_and_up_proj", "up_proj"), up);
        weights.insert_or_assign(replaced(name, "gate_and_up_proj", "gate_proj"), gate);
      }
    }
  }
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "num_experts"));
}

}  // namespace

const Family kFamily{"hunyuan", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::hunyuan
