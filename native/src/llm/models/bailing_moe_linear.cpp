// Ling and Ring 2 linear: linear attentions with a fixed decay, every few layers a full one, and
// experts. mlx-lm: models/bailing_moe_linear.py
#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/bailing.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::bailing_moe_linear {
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

bool is_full(const Config& config, std::size_t layer) {
  const auto period = static_cast<std::size_t>(size_in(config, "layer_group_size"));
  return (layer + 1) % period == 0 || layer >= layer_count(config) / period * period;
}

using AnyAttention = std::variant<FullAttention, LinearAttention>;

AnyAttention attention_of(const Config& config, std::size_t layer, Maker& maker) {
  if (is_full(config, layer)) return FullAttention(config, maker);
  return LinearAttention(config, layer, maker);
}

struct Block : PreNormBlock<AnyAttention, BailingMlp> {
  static constexpr const char* member_names() {
    return "attention, mlp, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention_of(config, layer, maker), bailing_mlp(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block, BailingBody<Block>> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) {
      const bool is_recurrent = std::holds_alternative<LinearAttention>(block.self_attn);
      caches.push_back(cache_of(is_recurrent, 1));
    }
    return caches;
  }
};

}  // namespace

const Family kFamily{"bailing_moe_linear", &make_module<Model>, &sanitize_bailing};

}  // namespace mlxnx::llm::bailing_moe_linear
