// Kimi Linear: linear attentions by the delta rule with a gate for each number of a key, attentions
// of few numbers for each token, and experts. mlx-lm: models/kimi_linear.py
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/gated_delta.h"
#include "llm/parts/mla.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/parts/recurrent.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::kimi_linear {
namespace {

struct ShortConv {
  CausalConv conv;
  MLXNX_MEMBERS(conv)
};

struct DeltaAttention {
  nn::Linear q_proj, k_proj, v_proj;
  ShortConv q_conv, k_conv, v_conv;
  nn::Linear f_a_proj, f_b_proj, b_proj, g_a_proj, g_b_proj;
  Tensor A_log, dt_bias;
  nn::RMSNorm o_norm;
  nn::Linear o_proj;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, q_conv, k_conv, v_conv, f_a_proj, f_b_proj, b_proj,
                g_a_proj, g_b_proj, A_log, dt_bias, o_norm, o_proj)
  std::int64_t heads, size;

  DeltaAttention(const Config& config, Maker& maker)
      : DeltaAttention(config, maker, config.get<Config>("linear_attn_config")) {}
  DeltaAttention(const Config& config, Maker& maker, const Config& own)
      : DeltaAttention(hidden_size(config), size_in(own, "num_heads"), size_in(own, "head_dim"),
                       size_in(own, "short_conv_kernel_size", 4), norm_eps(config), maker) {}
  DeltaAttention(std::int64_t dims, std::int64_t heads, std::int64_t size, std::int64_t kernel,
                 double eps, Maker& maker)
      : q_proj(maker.linear(dims, heads * size, false)),
        k_proj(maker.linear(dims, heads * size, false)),
        v_proj(maker.linear(dims, heads * size, false)),
        q_conv{{heads * size, kernel, false, maker}},
        k_conv{{heads * size, kernel, false, maker}},
        v_conv{{heads * size, kernel, false, maker}},
        f_a_proj(maker.linear(dims, size, false)),
        f_b_proj(maker.linear(size, heads * size, false)),
        b_proj(maker.linear(dims, heads, false)),
        g_a_proj(maker.linear(dims, size, false)),
        g_b_proj(maker.linear(size, heads * size, false)),
        A_log(maker.tensor({1, 1, heads, 1})),
        dt_bias(maker.tensor({heads * size})),
        o_norm(maker.rms_norm(size, eps)),
        o_proj(maker.linear(heads * size, dims, false)),
        heads(heads),
        size(size) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    auto& states = step.states(layer);
    const std::optional<Tensor> mask = step.token_mask();
    const auto in_heads = [&](const Tensor& of) {
      return reshape(of, {step.batch(), step.length(), heads, size});
    };
    const auto row = [&](const nn::Linear& projection, const ShortConv& conv, std::size_t state) {
      return in_heads(nn::silu(conv.conv(projection(x), states.at(state), mask)));
    };
    const Tensor q = row(q_proj, q_conv, 0), k = row(k_proj, k_conv, 1), v = row(v_proj, v_conv, 2);
    const Tensor gates = delta_gates(in_heads(f_b_proj(f_a_proj(x))), reshape(A_log, {heads, 1}),
                                     reshape(dt_bias, {heads, size}));
    auto [values, state] =
        fast::gated_delta_update(unit_queries(q), unit_keys(k), v, gates, nn::sigmoid(b_proj(x)),
                                 {.initial_state = states.at(3), .mask = mask});
    states.at(3) = state;
    const Tensor open = nn::sigmoid(in_heads(g_b_proj(g_a_proj(x))));
    return o_proj(reshape(o_norm(values) * open, {step.batch(), step.length(), heads * size}));
  }
};

// No part of it knows positions, whatever its name.
LatentOptions sizes_of(const Config& config) {
  LatentOptions options{.dims = hidden_size(config),
                        .heads = size_in(config, "num_attention_heads"),
                        .rank = size_in(config, "kv_lora_rank"),
                        .rope_dims = size_in(config, "qk_rope_head_dim"),
                        .eps = norm_eps(config)};
  const auto size_or_heads = [&](std::string_view key) {
    return size_in(config, config.contains(key) ? key : "head_dim");
  };
  options.plain_dims = size_or_heads("qk_nope_head_dim");
  options.value_dims = size_or_heads("v_head_dim");
  options.scale = 1 / std::sqrt(static_cast<double>(options.plain_dims + options.rope_dims));
  return options;
}

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  Tensor e_score_correction_bias;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(gate, switch_mlp, e_score_correction_bias, shared_experts)
  RoutingOptions routing;

  Experts(const Config& config, Maker& maker)
      : gate(maker.linear(hidden_size(config), size_in(config, "num_experts"), false)),
        switch_mlp(hidden_size(config), size_in(config, "moe_intermediate_size"),
                   size_in(config, "num_experts"), maker),
        e_score_correction_bias(maker.tensor({size_in(config, "num_experts")})),
        routing{.experts = size_in(config, "num_experts"),
                .count = size_in(config, "num_experts_per_token", 1),
                .least_sum = 1e-20,
                .scale = config.get<double>("routed_scaling_factor", 1.0),
                .groups = size_in(config, "num_expert_group", 1),
                .kept_groups = size_in(config, "topk_group", 1),
                .per_group = 2} {
    routing.normalized = routing.count > 1 && config.get<bool>("moe_renormalize", true);
    const auto scores = config.get<std::string>("moe_router_activation_func", "sigmoid");
    routing.is_sigmoid = scores == "sigmoid";
    if (scores != "sigmoid" && scores != "softmax") {
      throw UnsupportedError(fmt::format(
          "[load] moe_router_activation_func is {:?}; \"sigmoid\" and \"softmax\" are known",
          scores));
    }
    check(routing);
    const auto shared = config.get<std::int64_t>("num_shared_experts", 0);
    if (shared > 0) {
      shared_experts.emplace(hidden_size(config), shared * size_in(config, "moe_intermediate_size"),
                             false, maker);
    }
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(gate(x), routing, e_score_correction_bias);
    const Tensor y = llm::mixed(switch_mlp(x, routed.experts), routed.scores);
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

bool is_linear(const Config& config, std::size_t layer) {
  const auto numbers =
      config.get<Config>("linear_attn_config").get<std::vector<std::int64_t>>("kda_layers");
  return std::ranges::find(numbers, static_cast<std::int64_t>(layer) + 1) != numbers.end();
}

bool has_experts(const Config& config, std::size_t layer) {
  const auto number = static_cast<std::int64_t>(layer);
  return config.get<std::int64_t>("num_experts") > 0 &&
         number >= config.get<std::int64_t>("first_k_dense_replace", 0) &&
         number % size_in(config, "moe_layer_freq", 1) == 0;
}

using AnyAttention = std::variant<DeltaAttention, LatentAttention>;
using AnyMlp = std::variant<GatedMlp, Experts>;

AnyAttention attention(const Config& config, std::size_t layer, Maker& maker) {
  if (is_linear(config, layer)) return DeltaAttention(config, maker);
  return LatentAttention(sizes_of(config), std::nullopt, maker);
}

AnyMlp mlp_of(const Config& config, std::size_t layer, Maker& maker) {
  if (has_experts(config, layer)) return Experts(config, maker);
  return GatedMlp(hidden_size(config), size_in(config, "intermediate_size"), false, maker);
}

struct Block : PreNormBlock<AnyAttention, AnyMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker), mlp_of(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings", false)) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) {
      const bool is_recurrent = std::holds_alternative<DeltaAttention>(block.self_attn);
      caches.push_back(cache_of(is_recurrent, 4));
    }
    return caches;
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop(weights, [](std::string_view name) { return name.starts_with("model.mtp"); });
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", false));
  for (const std::string part : {"q_conv", "k_conv", "v_conv"})
    take_published_convs(weights, "." + part + "1d.weight");
  stack_layers_of_experts(weights, layer_count(config), "block_sparse_moe",
                          config.get<std::int64_t>("num_experts"),
                          {.gate = "w1", .down = "w2", .up = "w3"});
  for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
    const std::string attention = fmt::format("model.layers.{}.self_attn", layer);
    if (!is_linear(config, layer)) {
      split_latent_matrix(weights, attention, sizes_of(config));
      continue;
    }
    const auto bias = weights.find(attention + ".dt_bias");
    if (bias != weights.end()) bias->second = flatten(bias->second);
  }
  rename(weights, [](std::string_view name) {
    std::string result = replaced(name, ".block_sparse_moe.gate.e_score", ".mlp.e_score");
    result = replaced(result, ".block_sparse_moe.", ".mlp.");
    for (const std::string part : {"q_conv", "k_conv", "v_conv"})
      result = replaced(result, "." + part + "1d.weight", "." + part + ".conv.weight");
    return result;
  });
}

}  // namespace

const Family kFamily{"kimi_linear", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::kimi_linear
