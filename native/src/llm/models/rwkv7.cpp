// RWKV 7: recurrences alone, whose layers look back by one token. mlx-lm: models/rwkv7.py
#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/decoder.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/wkv.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::rwkv7 {
namespace {

std::int64_t head_count(const Config& config) {
  const std::int64_t dims = hidden_size(config), size = size_in(config, "head_dim");
  if (dims % size == 0) return dims / size;
  throw FormatError(
      fmt::format("[load] hidden_size is {}, no multiple of head_dim, which is {}", dims, size));
}

// A product of low rank with something between.
struct LowRank {
  nn::Linear first, second;
  MLXNX_MEMBERS(first, second)
};

struct Named : LowRank {
  static constexpr const char* member_names() { return "lora.0, lora.2"; }

  Named(std::int64_t dims, std::int64_t rank, bool bias, Maker& maker)
      : LowRank{maker.linear(dims, rank, false), maker.linear(rank, dims, bias)} {}
  Tensor plain(const Tensor& x) const { return second(first(x)); }
  Tensor by_tanh(const Tensor& x) const { return second(tanh(first(x))); }
  Tensor by_sigmoid(const Tensor& x) const { return second(nn::sigmoid(first(x))); }
};

struct HeadNorm {
  Tensor weight, bias;
  MLXNX_MEMBERS(weight, bias)

  Tensor operator()(const Tensor& x) const {
    return weight * fast::layer_norm(x, std::nullopt, std::nullopt, {.eps = 64e-5}) + bias;
  }
};

// The rows one token earlier, which begin with the last one of before. Padding counts as zeros.
Tensor one_earlier(const Tensor& x, Step& step, std::optional<Tensor>& last) {
  const std::int64_t length = step.length();
  Tensor own = x;
  if (const std::optional<Tensor> mask = step.token_mask())
    own = select(broadcast(new_axis(*mask, -1), x.shape()), x, 0);
  const Tensor before =
      last ? *last : constant(std::int64_t{0}, x.dtype(), {step.batch(), 1, x.shape()[2]});
  // The sum makes a tensor of its own: a slice would hold on to all tokens.
  last = slice_along_axis(own, length - 1, 1, {.axis = 1}) + 0;
  if (length == 1) return before;
  return concatenate({before, slice_along_axis(own, 0, length - 1, {.axis = 1})}, {.axis = 1});
}

struct ChannelMixing {
  nn::Linear key, value;
  Tensor x_k;
  MLXNX_MEMBERS(key, value, x_k)

  ChannelMixing(const Config& config, Maker& maker)
      : key(maker.linear(hidden_size(config), size_in(config, "intermediate_size"), false)),
        value(maker.linear(size_in(config, "intermediate_size"), hidden_size(config), false)),
        x_k(maker.tensor({hidden_size(config)})) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor before = one_earlier(x, step, step.states(layer).at(2));
    return value(nn::relu2(key(x + (before - x) * x_k)));
  }
};

struct TimeMixing {
  Tensor x_r, x_w, x_k, x_v, x_a, x_g, k_k, k_a, r_k;
  nn::Linear r_proj, k_proj, v_proj, o_proj;
  HeadNorm g_norm;
  Named w_lora;
  std::optional<Named> v_lora;  ///< not in the first layer, whose values are those of all
  Named a_lora, g_lora;
  MLXNX_MEMBERS(x_r, x_w, x_k, x_v, x_a, x_g, k_k, k_a, r_k, r_proj, k_proj, v_proj, o_proj, g_norm,
                w_lora, v_lora, a_lora, g_lora)

  TimeMixing(const Config& config, std::size_t layer, Maker& maker)
      : TimeMixing(config, maker, hidden_size(config), head_count(config)) {
    if (layer > 0)
      v_lora.emplace(hidden_size(config), size_in(config, "v_low_rank_dim"), true, maker);
  }
  TimeMixing(const Config& config, Maker& maker, std::int64_t dims, std::int64_t heads)
      : x_r(maker.tensor({1, 1, dims})),
        x_w(x_r),
        x_k(x_r),
        x_v(x_r),
        x_a(x_r),
        x_g(x_r),
        k_k(maker.tensor({heads, dims / heads})),
        k_a(k_k),
        r_k(k_k),
        r_proj(maker.linear(dims, dims, false)),
        k_proj(maker.linear(dims, dims, false)),
        v_proj(maker.linear(dims, dims, false)),
        o_proj(maker.linear(dims, dims, false)),
        g_norm{.weight = k_k, .bias = k_k},
        w_lora(dims, size_in(config, "decay_low_rank_dim"), true, maker),
        a_lora(dims, size_in(config, "a_low_rank_dim"), true, maker),
        g_lora(dims, size_in(config, "gate_low_rank_dim"), false, maker) {}

  // `first_values` are those of the first layer, which sets them.
  Tensor operator()(const Tensor& x, std::optional<Tensor>& first_values, Step& step,
                    std::size_t layer) const {
    auto& states = step.states(layer);
    const Shape heads{step.batch(), step.length(), k_k.shape()[0], k_k.shape()[1]};
    const auto in_heads = [&](const Tensor& of) { return reshape(of, heads); };
    const Tensor change = one_earlier(x, step, states.at(0)) - x;
    const auto moved = [&](const Tensor& by) { return x + change * by; };
    Tensor key = in_heads(k_proj(moved(x_k))), value = in_heads(v_proj(moved(x_v)));
    const Tensor receptance = in_heads(r_proj(moved(x_r)));
    const Tensor rate = in_heads(nn::sigmoid(a_lora.plain(moved(x_a))));
    const Tensor gate = g_lora.by_sigmoid(moved(x_g));
    if (v_lora) {
      value = value + (*first_values - value) * in_heads(nn::sigmoid(v_lora->plain(moved(x_v))));
    } else {
      first_values = value;
    }
    const auto wide = [](const Tensor& of) { return as_type(of, DType::f32); };
    const Tensor decay = exp(nn::sigmoid(wide(in_heads(w_lora.by_tanh(moved(x_w))))) * -0.606531);
    const Tensor direction = key * k_k;
    const Tensor length = sqrt(sum(direction * direction, {.axes = Axes{-1}, .keep_axes = true}));
    const Tensor unit = direction / max(length, constant(1e-7, length.dtype()));
    key = key * ((rate - 1.0) * k_a + 1.0);
    Tensor kept = wide(key);
    if (const std::optional<Tensor> mask = step.token_mask())
      kept = select(broadcast(reshape(*mask, {heads[0], heads[1], 1, 1}), heads), kept, 0);
    const auto [values, state] = wkv({.receptance = wide(receptance),
                                      .decay = decay,
                                      .key = kept,
                                      .value = wide(value),
                                      .a = -wide(unit),
                                      .b = wide(unit * rate)},
                                     states.at(1));
    states.at(1) = state;
    const Tensor direct =
        sum(receptance * key * r_k, {.axes = Axes{-1}, .keep_axes = true}) * value;
    return o_proj(reshape(g_norm(as_type(values, x.dtype())) + direct, x.shape()) * gate);
  }
};

struct Block {
  std::optional<nn::LayerNorm> pre_norm;
  TimeMixing attn;
  ChannelMixing ffn;
  nn::LayerNorm attn_norm, ffn_norm;
  MLXNX_MEMBERS(pre_norm, attn, ffn, attn_norm, ffn_norm)

  Block(const Config& config, std::size_t layer, Maker& maker)
      : attn(config, layer, maker),
        ffn(config, maker),
        attn_norm(maker.layer_norm(hidden_size(config), config.get<double>("norm_eps"))),
        ffn_norm(attn_norm) {
    if (layer == 0) pre_norm = attn_norm;
  }

  Tensor operator()(const Tensor& x, std::optional<Tensor>& first_values, Step& step,
                    std::size_t layer) const {
    const Tensor start = pre_norm ? (*pre_norm)(x) : x;
    const Tensor h = start + attn(attn_norm(start), first_values, step, layer);
    return h + ffn(ffn_norm(h), step, layer);
  }
};

struct Body {
  nn::Embedding embeddings;
  std::vector<Block> layers;
  nn::LayerNorm norm;
  MLXNX_MEMBERS(embeddings, layers, norm)
};

struct Model {
  Body model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)

  Model(const Config& config, Maker& maker)
      : model{.embeddings = maker.embedding(vocabulary_size(config), hidden_size(config)),
              .layers = {},
              .norm = maker.layer_norm(hidden_size(config), config.get<double>("norm_eps"))} {
    for (std::size_t layer = 0; layer < layer_count(config); ++layer)
      model.layers.emplace_back(config, layer, maker);
    if (!config.get<bool>("tie_word_embeddings", false))
      lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }

  Tensor hidden(const Tensor& tokens, Step& step) const {
    Tensor h = model.embeddings(tokens);
    std::optional<Tensor> first_values;
    for (std::size_t layer = 0; layer < model.layers.size(); ++layer)
      h = model.layers[layer](h, first_values, step, layer);
    return model.norm(h);
  }
  Tensor logits(const Tensor& h) const {
    return lm_head ? (*lm_head)(h) : model.embeddings.as_linear(h);
  }
  std::vector<LayerCache> make_cache() const {
    return std::vector<LayerCache>(model.layers.size(), recurrent_cache(3));
  }
};

// What belongs to heads may be published in one row.
void sanitize(nn::Parameters& weights, const Config& config) {
  const Shape heads{head_count(config), size_in(config, "head_dim")};
  for (auto& [name, tensor] : weights) {
    for (const std::string_view part : {".k_k", ".k_a", ".g_norm."}) {
      if (name.find(part) != std::string::npos && tensor.size() == hidden_size(config))
        tensor = reshape(tensor, heads);
    }
  }
}

}  // namespace

const Family kFamily{"rwkv7", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::rwkv7
