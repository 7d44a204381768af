// Recurrent Gemma (Griffin): gated linear recurrences, and attentions over a window. mlx-lm:
// models/recurrent_gemma.py
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/causal_conv.h"
#include "llm/parts/decoder.h"
#include "llm/parts/linear_scan.h"
#include "llm/parts/mlp.h"
#include "llm/parts/offset_norm.h"
#include "llm/parts/recurrent.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::recurrent_gemma {
namespace {

// A gate of each channel decays what was before and lets in what is new.
struct GatedRecurrence {
  Tensor recurrent_param, input_gate_weight, input_gate_bias, recurrent_gate_weight,
      recurrent_gate_bias;
  MLXNX_MEMBERS(recurrent_param, input_gate_weight, input_gate_bias, recurrent_gate_weight,
                recurrent_gate_bias)

  GatedRecurrence(std::int64_t width, std::int64_t heads, Maker& maker)
      : recurrent_param(maker.tensor({width})),
        input_gate_weight(maker.tensor({heads, width / heads, width / heads}, 0.1)),
        input_gate_bias(maker.tensor({heads, width / heads})),
        recurrent_gate_weight(maker.tensor({heads, width / heads, width / heads}, 0.1)),
        recurrent_gate_bias(maker.tensor({heads, width / heads})) {}

  static Tensor gate(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Shape& shape = x.shape();
    const std::int64_t heads = weight.shape()[0];
    const Tensor parts =
        transpose(reshape(x, {shape[0], shape[1], heads, -1}), {.axes = Axes{2, 0, 1, 3}});
    const Tensor each =
        transpose(dot(parts, {3}, {0}, weight, {1}, {0}), {.axes = Axes{1, 2, 0, 3}});
    return nn::sigmoid(reshape(each + bias, shape));
  }

  Tensor operator()(const Tensor& x, Step& step, std::optional<Tensor>& state) const {
    const Tensor open = gate(x, input_gate_weight, input_gate_bias);
    const Tensor closing = gate(x, recurrent_gate_weight, recurrent_gate_bias);
    const Tensor rate = as_type(closing * -8.0 * nn::softplus(recurrent_param), DType::f32);
    // The first token comes in whole.
    Tensor is_first = new_axis(step.positions() == 0, -1);
    if (is_first.rank() == 2) is_first = new_axis(is_first, 0);
    const Tensor share = select(broadcast(is_first, x.shape()), 1.0, sqrt(1.0 - exp(rate * 2.0)));
    Tensor added = as_type(x * open, DType::f32) * share;
    if (const std::optional<Tensor> mask = step.token_mask())
      added = select(broadcast(new_axis(*mask, -1), x.shape()), added, 0);
    const Tensor start = state ? *state : constant(0, DType::f32, {x.shape()[0], x.shape()[2]});
    const Scanned scanned = linear_scan(exp(rate), added, start);
    state = scanned.last;
    return as_type(scanned.states, x.dtype());
  }
};

struct RecurrentBlock {
  nn::Linear linear_y, linear_x, linear_out;
  CausalConv conv_1d;
  GatedRecurrence rg_lru;
  MLXNX_MEMBERS(linear_y, linear_x, linear_out, conv_1d, rg_lru)

  // A convolution over four tokens, whatever the settings say.
  RecurrentBlock(std::int64_t width, std::int64_t heads, Maker& maker)
      : linear_y(maker.linear(width, width, true)),
        linear_x(maker.linear(width, width, true)),
        linear_out(maker.linear(width, width, true)),
        conv_1d(width, 4, true, maker),
        rg_lru(width, heads, maker) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    auto& states = step.states(layer);
    const Tensor h = conv_1d(linear_x(x), states.at(0), step.token_mask());
    return linear_out(rg_lru(h, step, states.at(1)) * nn::gelu_approx(linear_y(x)));
  }
};

Attention window_attention(std::int64_t width, std::int64_t heads, Maker& maker) {
  const std::int64_t size = width / heads;
  return {{.dims = width, .heads = heads, .kv_heads = 1, .head_dim = size, .output_bias = true},
          Rope({.dims = size / 2}),
          maker};
}

bool is_recurrent(const Config& config, std::size_t layer) {
  const auto types = config.get<std::vector<std::string>>(
      config.contains("block_types") ? "block_types" : "_block_types");
  if (types.empty()) throw FormatError("[load] block_types is empty in the settings");
  const std::string& type = types[layer % types.size()];
  if (type == "recurrent" || type == "attention") return type == "recurrent";
  throw FormatError(fmt::format(
      "[load] block_types names {:?}; \"recurrent\" and \"attention\" are known", type));
}

struct Parts {
  OffsetNorm temporal_pre_norm;
  std::optional<RecurrentBlock> recurrent = {};
  std::optional<Attention> attention = {};
  OffsetNorm channel_pre_norm;
  GatedMlp mlp_block;
  MLXNX_MEMBERS(temporal_pre_norm, recurrent, attention, channel_pre_norm, mlp_block)
};

struct Block : Parts {
  static constexpr const char* member_names() {
    return "temporal_pre_norm, temporal_block, temporal_block, channel_pre_norm, mlp_block";
  }

  Block(const Config& config, std::size_t layer, Maker& maker)
      : Parts{.temporal_pre_norm = OffsetNorm(config, 1, 1e-5, maker),
              .channel_pre_norm = OffsetNorm(config, 1, 1e-5, maker),
              .mlp_block = GatedMlp(hidden_size(config), size_in(config, "intermediate_size") / 2,
                                    true, maker, &nn::gelu_approx)} {
    const std::int64_t width = hidden_size(config), heads = size_in(config, "num_attention_heads");
    if (width % heads != 0)
      throw FormatError(fmt::format("[load] hidden_size is {}, for {} heads", width, heads));
    if (is_recurrent(config, layer)) {
      recurrent.emplace(width, heads, maker);
    } else {
      attention = window_attention(width, heads, maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor normed = temporal_pre_norm(x);
    const Tensor h =
        x + (recurrent ? (*recurrent)(normed, step, layer) : (*attention)(normed, step, layer));
    return h + mlp_block(channel_pre_norm(h));
  }
};

struct Griffin {
  nn::Embedding embed_tokens;
  std::vector<Block> layers;
  OffsetNorm final_norm;
  MLXNX_MEMBERS(embed_tokens, layers, final_norm)
};

struct Model {
  Griffin model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)
  std::vector<LayerCache> cache;
  double embedding_factor = 1, softcap = 0;

  Model(const Config& config, Maker& maker)
      : model{.embed_tokens = maker.embedding(vocabulary_size(config), hidden_size(config)),
              .layers = {},
              .final_norm = OffsetNorm(config, 1, norm_eps(config), maker)},
        softcap(config.get<double>("logits_soft_cap", 0.0)) {
    for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
      if (model.layers.emplace_back(config, layer, maker).recurrent) {
        cache.emplace_back(recurrent_cache());
      } else {
        cache.emplace_back(windowed_cache(size_in(config, "attention_window_size")));
      }
    }
    if (config.get<bool>("embeddings_scale_by_sqrt_dim", true))
      embedding_factor = std::sqrt(static_cast<double>(hidden_size(config)));
    if (!config.get<bool>("tie_word_embeddings", true))
      lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }

  Tensor hidden(const Tensor& tokens, Step& step) const {
    Tensor h = model.embed_tokens(tokens) * embedding_factor;
    for (std::size_t layer = 0; layer < model.layers.size(); ++layer)
      h = model.layers[layer](h, step, layer);
    return model.final_norm(h);
  }
  Tensor logits(const Tensor& h) const {
    const Tensor logits = lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
    return softcap == 0 ? logits : tanh(logits / softcap) * softcap;
  }
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config&) {
  take_published_convs(weights, "conv_1d.weight");
}

}  // namespace

const Family kFamily{"recurrent_gemma", &make_module<Model>, &sanitize, &tied_without_head};

}  // namespace mlxnx::llm::recurrent_gemma
