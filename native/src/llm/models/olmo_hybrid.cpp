// OLMo hybrid: linear attentions by the delta rule with norms before, attentions with norms after.
// mlx-lm: models/olmo_hybrid.py
#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/causal_conv.h"
#include "llm/parts/decoder.h"
#include "llm/parts/gated_delta.h"
#include "llm/parts/mlp.h"
#include "llm/parts/recurrent.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::olmo_hybrid {
namespace {

// Queries, keys and values by a matrix and a convolution each.
struct LinearAttention {
  nn::Linear q_proj, k_proj, v_proj, a_proj, b_proj, g_proj, o_proj;
  CausalConv q_conv1d, k_conv1d, v_conv1d;
  Tensor A_log, dt_bias;
  GatedHeadNorm o_norm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, a_proj, b_proj, g_proj, o_proj, q_conv1d, k_conv1d,
                v_conv1d, A_log, dt_bias, o_norm)
  std::int64_t key_heads, heads;
  double rate;  ///< the largest that a token may correct by

  LinearAttention(const Config& config, Maker& maker)
      : LinearAttention(
            config, maker, hidden_size(config), size_in(config, "linear_num_key_heads"),
            size_in(config, "linear_num_value_heads"), size_in(config, "linear_key_head_dim"),
            size_in(config, "linear_value_head_dim"), size_in(config, "linear_conv_kernel_dim")) {}
  LinearAttention(const Config& config, Maker& maker, std::int64_t dims, std::int64_t key_heads,
                  std::int64_t heads, std::int64_t key_dim, std::int64_t value_dim,
                  std::int64_t kernel)
      : q_proj(maker.linear(dims, key_heads * key_dim, false)),
        k_proj(maker.linear(dims, key_heads * key_dim, false)),
        v_proj(maker.linear(dims, heads * value_dim, false)),
        a_proj(maker.linear(dims, heads, false)),
        b_proj(maker.linear(dims, heads, false)),
        g_proj(maker.linear(dims, heads * value_dim, false)),
        o_proj(maker.linear(heads * value_dim, dims, false)),
        q_conv1d(key_heads * key_dim, kernel, false, maker),
        k_conv1d(key_heads * key_dim, kernel, false, maker),
        v_conv1d(heads * value_dim, kernel, false, maker),
        A_log(maker.tensor({heads})),
        dt_bias(maker.tensor({heads})),
        o_norm{.weight = maker.rms_norm(value_dim, 1).weight,
               .eps = config.get<double>("layer_norm_epsilon", 1e-5)},
        key_heads(key_heads),
        heads(heads),
        rate(config.get<bool>("linear_allow_neg_eigval") ? 2 : 1) {
    if (heads % key_heads != 0) {
      throw FormatError(
          fmt::format("[load] linear_num_value_heads is {}, no multiple of "
                      "linear_num_key_heads, which is {}",
                      heads, key_heads));
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    auto& states = step.states(layer);
    const std::optional<Tensor> mask = step.token_mask();
    const auto in_heads = [&](const Tensor& of, std::int64_t count) {
      return reshape(of, {step.batch(), step.length(), count, -1});
    };
    const Tensor q = nn::silu(q_conv1d(q_proj(x), states.at(0), mask)),
                 k = nn::silu(k_conv1d(k_proj(x), states.at(1), mask)),
                 v = nn::silu(v_conv1d(v_proj(x), states.at(2), mask));
    auto [values, state] = fast::gated_delta_update(
        unit_queries(in_heads(q, key_heads)), unit_keys(in_heads(k, key_heads)), in_heads(v, heads),
        delta_gates(a_proj(x), A_log, dt_bias), nn::sigmoid(b_proj(x)) * rate,
        {.initial_state = states.at(3), .mask = mask});
    states.at(3) = state;
    const Tensor gated = o_norm(values, in_heads(g_proj(x), heads));
    return o_proj(reshape(gated, {step.batch(), step.length(), -1}));
  }
};

// A base of null says that positions are not told.
std::optional<Rope> rope(const Config& config, std::int64_t head_dim) {
  const Config where =
      config.holds_object("rope_parameters") ? config.get<Config>("rope_parameters") : config;
  if (where.is_null("rope_theta")) return std::nullopt;
  return Rope({.dims = head_dim, .base = where.get<double>("rope_theta", 10'000)});
}

Attention full_attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  options.norm_eps = norm_eps(config);
  options.norms_rows = true;
  return {options, rope(config, options.head_dim), maker};
}

bool is_linear(const Config& config, std::size_t layer) {
  if (!config.contains("layer_types")) return layer % 4 != 3;
  const std::string type = layer_types(config).at(layer);
  if (type == "linear_attention" || type == "full_attention") return type == "linear_attention";
  throw FormatError(fmt::format(
      "[load] layer_types names {:?}; \"linear_attention\" and \"full_attention\" are known",
      type));
}

struct Block {
  std::optional<LinearAttention> linear_attn;
  std::optional<Attention> self_attn;
  GatedMlp mlp;
  std::optional<nn::RMSNorm> input_layernorm;
  nn::RMSNorm post_attention_layernorm;
  std::optional<nn::RMSNorm> post_feedforward_layernorm;
  MLXNX_MEMBERS(linear_attn, self_attn, mlp, input_layernorm, post_attention_layernorm,
                post_feedforward_layernorm)

  Block(const Config& config, std::size_t layer, Maker& maker)
      : mlp(hidden_size(config), size_in(config, "intermediate_size"), false, maker),
        post_attention_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))) {
    if (is_linear(config, layer)) {
      linear_attn.emplace(config, maker);
      input_layernorm = post_attention_layernorm;
    } else {
      self_attn = full_attention(config, maker);
      post_feedforward_layernorm = post_attention_layernorm;
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    if (linear_attn) {
      const Tensor h = x + (*linear_attn)((*input_layernorm)(x), step, layer);
      return h + mlp(post_attention_layernorm(h));
    }
    const Tensor h = x + post_attention_layernorm((*self_attn)(x, step, layer));
    return h + (*post_feedforward_layernorm)(mlp(h));
  }
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings")) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers)
      caches.push_back(cache_of(block.linear_attn.has_value(), 4));
    return caches;
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  take_published_convs(weights);
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings"));
}

}  // namespace

const Family kFamily{"olmo_hybrid", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::olmo_hybrid
