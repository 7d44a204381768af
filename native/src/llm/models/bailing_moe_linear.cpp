// Ling and Ring 2 linear: linear attentions with a fixed decay, every few layers a full one, and
// experts. mlx-lm: models/bailing_moe_linear.py
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm {
namespace {

struct Rows {
  Tensor queries, keys, values;  ///< `[batch, heads, length, size]`
};

// What both attentions have: one matrix for all, norms, positions.
struct Projections {
  nn::Linear query_key_value, dense;
  std::optional<nn::RMSNorm> query_layernorm, key_layernorm;
  AttentionOptions options;
  Rope rope;

  Projections(const Config& config, const AttentionOptions& given, Maker& maker)
      : query_key_value(maker.linear(given.dims,
                                     (given.heads + 2 * given.kv_heads) * given.head_dim,
                                     config.get<bool>("use_qkv_bias", false))),
        dense(maker.linear(given.heads * given.head_dim, given.dims,
                           config.get<bool>("use_bias", false))),
        options(given),
        rope(rope_settings(
            config, static_cast<std::int64_t>(static_cast<double>(given.head_dim) *
                                              config.get<double>("partial_rotary_factor", 1.0)))) {
    if (!config.get<bool>("use_qk_norm", false)) return;
    query_layernorm = maker.rms_norm(given.head_dim, norm_eps(config));
    key_layernorm = query_layernorm;
  }

  Rows rows(const Tensor& x, const Step& step) const {
    const std::int64_t own = options.kv_heads * options.head_dim;
    const auto [q, rest] =
        split(query_key_value(x), options.heads * options.head_dim, {.axis = -1});
    const auto [k, v] = split(rest, own, {.axis = -1});
    const auto turned = [&](const Tensor& of, std::int64_t heads,
                            const std::optional<nn::RMSNorm>& norm) {
      const Tensor some = to_heads(of, heads);
      return rope(norm ? (*norm)(some) : some, step);
    };
    return {turned(q, options.heads, query_layernorm), turned(k, options.kv_heads, key_layernorm),
            to_heads(v, options.kv_heads)};
  }
};

struct FullAttention : Projections {
  MLXNX_MEMBERS(query_key_value, dense, query_layernorm, key_layernorm)

  FullAttention(const Config& config, Maker& maker)
      : Projections(config, attention_options(config), maker) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const auto [queries, keys, values] = rows(x, step);
    return dense(
        from_heads(attend(queries, keys, values, step, layer,
                          {.scale = 1 / std::sqrt(static_cast<double>(options.head_dim))})));
  }
};

AttentionOptions linear_options(const Config& config) {
  AttentionOptions options = attention_options(config);
  options.kv_heads = options.heads;
  options.head_dim = options.dims / options.heads;
  return options;
}

// Slopes of heads as ALiBi has them: powers of two, those of other numbers from twice as many.
std::vector<float> slopes(std::int64_t heads) {
  const auto powers = [](std::int64_t count) {
    std::vector<double> result;
    for (std::int64_t i = 1; i <= count; ++i)
      result.push_back(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(count)));
    return result;
  };
  const auto whole = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<double> all = powers(whole);
  const std::vector<double> between = powers(2 * whole);
  for (std::size_t i = 0; all.size() < static_cast<std::size_t>(heads); i += 2)
    all.push_back(between[i]);
  return {all.begin(), all.end()};
}

struct LinearAttention : Projections {
  nn::Linear g_proj;
  GroupedNorm g_norm;
  MLXNX_MEMBERS(query_key_value, dense, query_layernorm, key_layernorm, g_proj, g_norm)
  Tensor rates;  ///< of decay, one for each head

  LinearAttention(const Config& config, std::size_t layer, Maker& maker)
      : Projections(config, linear_options(config), maker),
        g_proj(maker.linear(options.dims, options.heads * options.head_dim, false)),
        g_norm{.weight = maker.rms_norm(options.heads * options.head_dim, 1).weight,
               .eps = norm_eps(config),
               .groups = size_in(config, "group_norm_size")} {
    if (options.heads * options.head_dim % g_norm.groups != 0) {
      throw FormatError(fmt::format("[load] group_norm_size is {}, for {} numbers", g_norm.groups,
                                    options.heads * options.head_dim));
    }
    // Later layers forget more slowly.
    const auto last = static_cast<double>(std::max<std::size_t>(1, layer_count(config) - 1));
    const auto place = static_cast<double>(layer == 0 ? 0 : layer - 1);
    const std::vector<float> each = slopes(options.heads);
    rates = Tensor::from_span(std::span<const float>(each), {options.heads}) *
            -(1 - place / last + 1e-5);
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const auto [queries, keys, values] = rows(x, step);
    const auto by_tokens = [](const Tensor& of) {
      return transpose(as_type(of, DType::f32), {.axes = Axes{0, 2, 1, 3}});
    };
    const Shape each{step.batch(), step.length(), options.heads};
    Tensor times = constant(1, DType::f32, each);
    if (const std::optional<Tensor> mask = step.token_mask())
      times = select(broadcast(new_axis(*mask, -1), each), times, 0);
    auto& state = step.states(layer).at(0);
    const StateSpaceResult result = state_space(
        by_tokens(values), times, rates, by_tokens(keys),
        by_tokens(queries) * (1 / std::sqrt(static_cast<double>(options.head_dim))), state);
    state = result.state;
    const Tensor y = reshape(as_type(result.values, x.dtype()), {step.batch(), step.length(), -1});
    return dense(g_norm(y) * nn::sigmoid(g_proj(x)));
  }
};

struct Gate {
  nn::Linear gate_proj;
  std::optional<Tensor> expert_bias;
  MLXNX_MEMBERS(gate_proj, expert_bias)
};

struct Experts {
  SwitchGlu switch_mlp;
  Gate gate;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(switch_mlp, gate, shared_experts)
  RoutingOptions routing;

  Experts(const Config& config, Maker& maker)
      : switch_mlp(hidden_size(config), size_in(config, "moe_intermediate_size"),
                   size_in(config, "num_experts"), maker, config.get<bool>("use_bias", false)),
        gate{.gate_proj = maker.linear(hidden_size(config), size_in(config, "num_experts"), false),
             .expert_bias = {}},
        routing{.experts = size_in(config, "num_experts"),
                .count = size_in(config, "num_experts_per_tok"),
                .is_sigmoid = config.get<std::string>("score_function", "softmax") == "sigmoid",
                .scale = config.get<double>("routed_scaling_factor", 1.0),
                .groups = size_in(config, "n_group", 1),
                .kept_groups = size_in(config, "topk_group", 4),
                .per_group = 2} {
    routing.normalized = routing.count > 1 && config.get<bool>("norm_topk_prob");
    if (routing.groups == 1) routing.kept_groups = 1;
    check(routing);
    if (config.get<bool>("moe_router_enable_expert_bias", false))
      gate.expert_bias = maker.tensor({routing.experts});
    const auto shared = config.get<std::int64_t>("num_shared_experts");
    if (shared > 0 && config.get<bool>("moe_router_enable_shared_expert", true)) {
      const auto width = config.get<std::int64_t>("moe_shared_expert_intermediate_size", 0);
      shared_experts.emplace(
          hidden_size(config),
          shared * (width > 0 ? width : size_in(config, "moe_intermediate_size")),
          config.get<bool>("use_bias", false), maker);
    }
  }

  Tensor operator()(const Tensor& x) const {
    const Tensor scores = as_type(gate.gate_proj(x), DType::f32);
    const Routed routed = route_by_scores(scores, routing, gate.expert_bias);
    const Tensor y = mixed(switch_mlp(x, routed.experts), as_type(routed.scores, x.dtype()));
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

bool is_full(const Config& config, std::size_t layer) {
  const auto period = static_cast<std::size_t>(size_in(config, "layer_group_size"));
  return (layer + 1) % period == 0 || layer >= layer_count(config) / period * period;
}

bool has_experts(const Config& config, std::size_t layer) {
  return config.contains("num_experts") &&
         static_cast<std::int64_t>(layer) >= config.get<std::int64_t>("first_k_dense_replace");
}

using AnyAttention = std::variant<FullAttention, LinearAttention>;
using AnyMlp = std::variant<GatedMlp, Experts>;

AnyAttention attention_of(const Config& config, std::size_t layer, Maker& maker) {
  if (is_full(config, layer)) return FullAttention(config, maker);
  return LinearAttention(config, layer, maker);
}

AnyMlp mlp_of(const Config& config, std::size_t layer, Maker& maker) {
  if (has_experts(config, layer)) return Experts(config, maker);
  return GatedMlp(hidden_size(config), size_in(config, "intermediate_size"),
                  config.get<bool>("use_bias", false), maker);
}

struct Block {
  AnyAttention attention;
  AnyMlp mlp;
  nn::RMSNorm input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(attention, mlp, input_layernorm, post_attention_layernorm)

  Block(const Config& config, std::size_t layer, Maker& maker)
      : attention(attention_of(config, layer, maker)),
        mlp(mlp_of(config, layer, maker)),
        input_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))),
        post_attention_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor before = input_layernorm(x);
    const Tensor h =
        x + std::visit([&](const auto& held) { return held(before, step, layer); }, attention);
    return h + run(mlp, post_attention_layernorm(h));
  }
};

struct Body : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "word_embeddings, layers, norm"; }
};

struct Model : CausalLm<Block, Body> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings", false)) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) {
      const bool is_recurrent = std::holds_alternative<LinearAttention>(block.attention);
      caches.push_back(cache_of(is_recurrent, 1));
    }
    return caches;
  }
};

// The head's columns have length 1; quantized ones have it already.
void norm_head(nn::Parameters& weights) {
  const auto head = weights.find("lm_head.weight");
  if (head == weights.end() || head->second.dtype() == DType::u32) return;
  const Tensor wide = as_type(head->second, DType::f32);
  const Tensor length = sqrt(sum(wide * wide, {.axes = Axes{0}, .keep_axes = true})) + 1e-7;
  head->second = as_type(head->second / length, head->second.dtype());
}

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", false));
  if (config.get<bool>("norm_head", false)) norm_head(weights);
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("num_experts", 0));
  for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
    if (!has_experts(config, layer)) continue;
    const std::string prefix = fmt::format("model.layers.{}.mlp", layer);
    for (const std::string part : {"weight", "bias"})
      rename_one(weights, prefix + ".gate." + part, prefix + ".gate.gate_proj." + part);
  }
}

}  // namespace

const Family kBailingMoeLinear{"bailing_moe_linear", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm
