// The text part of Gemma 3n. mlx-lm: models/gemma3n.py
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::gemma3n {
namespace {

constexpr std::string_view kSliding = "sliding_attention", kFull = "full_attention";

std::vector<std::string> types_of(const Config& config) {
  std::vector<std::string> types = layer_types(config);
  for (const std::string& type : types) {
    if (type != kSliding && type != kFull)
      throw UnsupportedError(fmt::format("[load] layer_types has {:?}", type));
  }
  return types;
}

// The last layers attend to what an earlier one of their type remembers: from this one on.
std::size_t first_shared(const Config& config) {
  const auto count = static_cast<std::int64_t>(layer_count(config));
  const auto shared = config.get<std::int64_t>("num_kv_shared_layers");
  if (shared < 0 || shared >= count)
    throw FormatError(fmt::format("[load] num_kv_shared_layers is {} of {} layers", shared, count));
  return static_cast<std::size_t>(count - shared);
}

Tensor part(const Tensor& all, std::int64_t number) {
  return squeeze(slice_along_axis(all, number, 1, {.axis = 0}), {.axes = Axes{0}});
}

Tensor mean(const Tensor& x, std::int64_t axis, bool keeps_axis) {
  const auto count = static_cast<double>(x.shape()[static_cast<std::size_t>(axis)]);
  return sum(x, {.axes = Axes{axis}, .keep_axes = keeps_axis}) / count;
}
Tensor row_mean(const Tensor& x) { return mean(x, static_cast<std::int64_t>(x.rank()) - 1, true); }
Tensor magnitude(const Tensor& x) { return sqrt(row_mean(x * x)); }

// Layers without keys of their own have matrices for them all the same.
struct SharingAttention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  Norm q_norm, k_norm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm)
  Norm v_norm;
  Rope rope;
  std::int64_t heads, kv_heads;
  bool is_shared;

  SharingAttention(const AttentionOptions& options, const Config& config, std::size_t layer,
                   Maker& maker)
      : q_proj(maker.linear(options.dims, options.heads * options.head_dim, false)),
        k_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, false)),
        v_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, false)),
        o_proj(maker.linear(options.heads * options.head_dim, options.dims, false)),
        q_norm(maker.rms_norm(options.head_dim, norm_eps(config))),
        k_norm(maker.rms_norm(options.head_dim, norm_eps(config))),
        v_norm(norm_eps(config)),
        rope({.dims = options.head_dim,
              .base = config.get<double>(
                  types_of(config)[layer] == kSliding ? "rope_local_base_freq" : "rope_theta")}),
        heads(options.heads),
        kv_heads(options.kv_heads),
        is_shared(layer >= first_shared(config)) {}

  // `attended`: what an earlier layer remembers, or this one's own from now on.
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer,
                    std::optional<Attended>& attended) const {
    if (!is_shared) {
      attended = step.attend(layer, rope(k_norm(to_heads(k_proj(x), kv_heads)), step),
                             v_norm(to_heads(v_proj(x), kv_heads)));
    }
    const Tensor queries = rope(q_norm(to_heads(q_proj(x), heads)), step);
    return o_proj(from_heads(attend_to(*attended, queries, step, {.scale = 1})));
  }
};

// Some layers let only the largest gates through, as many as are that far above the mean.
struct SparseMlp {
  nn::Linear gate_proj, down_proj, up_proj;
  MLXNX_MEMBERS(gate_proj, down_proj, up_proj)
  std::optional<double> deviations;

  SparseMlp(std::int64_t dims, std::int64_t hidden, double sparsity, Maker& maker)
      : gate_proj(maker.linear(dims, hidden, false)),
        down_proj(maker.linear(hidden, dims, false)),
        up_proj(maker.linear(dims, hidden, false)) {
    if (sparsity > 0) {
      deviations =
          std::sqrt(2.0) * erf_inv(Tensor(static_cast<float>(2 * sparsity - 1))).item<double>();
    }
  }
  Tensor operator()(const Tensor& x) const {
    Tensor gate = gate_proj(x);
    if (deviations) {
      const Tensor middle = row_mean(gate), spread = magnitude(gate - middle);
      gate = nn::relu(gate - (middle + spread * *deviations));
    }
    return down_proj(gated(&nn::gelu_approx, gate, up_proj(x)));
  }
};

SparseMlp sparse_mlp(const Config& config, std::size_t layer, Maker& maker) {
  const std::size_t count = layer_count(config);
  const auto checked = [&](std::string_view key, const auto& list) {
    if (list.size() == count) return list[layer];
    throw FormatError(
        fmt::format("[load] {} has {} entries for {} layers", key, list.size(), count));
  };
  Config own = config;
  if (config.holds_list("intermediate_size")) {
    own.set(
        "intermediate_size",
        checked("intermediate_size", config.get<std::vector<std::int64_t>>("intermediate_size")));
  }
  double sparsity = 0;
  if (config.contains("activation_sparsity_pattern")) {
    sparsity = checked("activation_sparsity_pattern",
                       config.get<std::vector<double>>("activation_sparsity_pattern"));
  }
  if (!(sparsity < 1))
    throw FormatError(fmt::format("[load] activation_sparsity_pattern has {}", sparsity));
  return {hidden_size(config), size_in(own, "intermediate_size"), sparsity, maker};
}

// Several states of each token, `[inputs, batch, length, size]`, of which a layer computes one and
// guesses the others. mlx-lm: Gemma3nAltUp
struct AltUp {
  Tensor correct_output_scale;
  nn::Linear correction_coefs, prediction_coefs, modality_router;
  Norm router_norm;
  MLXNX_MEMBERS(correct_output_scale, correction_coefs, prediction_coefs, modality_router,
                router_norm)
  std::int64_t inputs, active;
  std::optional<double> most;

  AltUp(const Config& config, Maker& maker)
      : correct_output_scale(maker.tensor({hidden_size(config)})),
        correction_coefs(maker.linear(size_in(config, "altup_num_inputs"),
                                      size_in(config, "altup_num_inputs"), false)),
        prediction_coefs(maker.linear(
            size_in(config, "altup_num_inputs"),
            size_in(config, "altup_num_inputs") * size_in(config, "altup_num_inputs"), false)),
        modality_router(
            maker.linear(hidden_size(config), size_in(config, "altup_num_inputs"), false)),
        router_norm(rms_norm(config, maker)),
        inputs(size_in(config, "altup_num_inputs")),
        active(config.get<std::int64_t>("altup_active_idx")) {
    constexpr std::int64_t kMost = 256;
    if (inputs > kMost)
      throw FormatError(fmt::format("[load] altup_num_inputs is {} in the settings", inputs));
    if (active < 0 || active >= inputs)
      throw FormatError(fmt::format("[load] altup_active_idx is {} of {}", active, inputs));
    if (config.contains("altup_coef_clip")) most = config.get<double>("altup_coef_clip");
  }

  // What decides over the states: in f32, whatever the model's type.
  Tensor modalities(const Tensor& x) const {
    const double size = static_cast<double>(x.shape().back());
    return tanh(as_type(modality_router(router_norm(x) * (1 / size)), DType::f32));
  }
  Tensor factors(const nn::Linear& layer, const Tensor& x) const {
    Tensor weight = as_type(nn::dense_weight(layer.weight, layer.form), DType::f32);
    if (most) {
      const auto bound = static_cast<float>(*most);
      weight = clip(weight, Tensor(-bound), Tensor(bound));
    }
    return nn::Linear(weight)(modalities(x));
  }

  Tensor predict(const Tensor& x) const {
    const Tensor all = factors(prediction_coefs, part(x, active));
    const Shape& shape = all.shape();
    const Tensor coefs = reshape(all, {shape[0], shape[1], inputs, inputs});
    const Tensor wide = as_type(x, DType::f32);
    // [batch, length, size, inputs], each by the factors that its row of them has.
    const Tensor sums =
        dot(transpose(wide, {.axes = Axes{1, 2, 3, 0}}), {3}, {0, 1}, coefs, {3}, {0, 1});
    return as_type(transpose(sums, {.axes = Axes{3, 0, 1, 2}}) + wide, x.dtype());
  }
  Tensor correct(const Tensor& predictions, const Tensor& activated) const {
    const Tensor coefs = factors(correction_coefs, activated) + 1;
    const Tensor innovation = activated - part(predictions, active);
    const Tensor by = new_axis(transpose(coefs, {.axes = Axes{2, 0, 1}}), -1);
    return as_type(new_axis(innovation, 0) * by + predictions, activated.dtype());
  }
};

struct Laurel {
  nn::Linear linear_left, linear_right;
  Norm post_laurel_norm;
  MLXNX_MEMBERS(linear_left, linear_right, post_laurel_norm)

  Laurel(const Config& config, Maker& maker)
      : linear_left(maker.linear(hidden_size(config), size_in(config, "laurel_rank"), false)),
        linear_right(maker.linear(size_in(config, "laurel_rank"), hidden_size(config), false)),
        post_laurel_norm(rms_norm(config, maker)) {}
  Tensor operator()(const Tensor& x) const {
    return x + post_laurel_norm(linear_right(linear_left(x)));
  }
};

struct Block {
  SharingAttention self_attn;
  SparseMlp mlp;
  Norm input_layernorm, post_attention_layernorm;
  Norm pre_feedforward_layernorm, post_feedforward_layernorm;
  AltUp altup;
  Laurel laurel;
  nn::Linear per_layer_input_gate, per_layer_projection;
  Norm post_per_layer_input_norm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm,
                pre_feedforward_layernorm, post_feedforward_layernorm, altup, laurel,
                per_layer_input_gate, per_layer_projection, post_per_layer_input_norm)
  bool is_scaled;

  Block(const Config& config, std::size_t layer, Maker& maker)
      : self_attn(attention_options(config), config, layer, maker),
        mlp(sparse_mlp(config, layer, maker)),
        input_layernorm(rms_norm(config, maker)),
        post_attention_layernorm(rms_norm(config, maker)),
        pre_feedforward_layernorm(rms_norm(config, maker)),
        post_feedforward_layernorm(rms_norm(config, maker)),
        altup(config, maker),
        laurel(config, maker),
        per_layer_input_gate(maker.linear(hidden_size(config),
                                          size_in(config, "hidden_size_per_layer_input"), false)),
        per_layer_projection(maker.linear(size_in(config, "hidden_size_per_layer_input"),
                                          hidden_size(config), false)),
        post_per_layer_input_norm(rms_norm(config, maker)),
        is_scaled(config.get<bool>("altup_correct_scale")) {}

  Tensor operator()(const Tensor& states, Step& step, std::size_t layer,
                    std::optional<Attended>& attended, const Tensor& input) const {
    const double half = 1 / std::sqrt(2.0);
    const Tensor predictions = altup.predict(states);
    const Tensor x = part(predictions, altup.active), normed = input_layernorm(x);
    const Tensor attention = post_attention_layernorm(self_attn(normed, step, layer, attended));
    const Tensor h = (x + attention + laurel(normed)) * half;
    const Tensor next = h + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(h)));
    const Tensor corrected = altup.correct(predictions, next);
    Tensor first = part(corrected, altup.active);
    if (is_scaled) first = first * altup.correct_output_scale;
    first = nn::gelu_approx(per_layer_input_gate(first)) * input;
    first = post_per_layer_input_norm(per_layer_projection(first));
    // The first state is the only one that does not get it.
    const auto [same, others] = split(corrected, 1, {.axis = 0});
    return altup.inputs == 1 ? corrected : concatenate({same, others + first}, {.axis = 0});
  }
};

struct TextModel {
  nn::Embedding embed_tokens;
  std::vector<Block> layers;
  nn::Embedding embed_tokens_per_layer;
  nn::Linear per_layer_model_projection;
  Norm per_layer_projection_norm;
  std::vector<nn::Linear> altup_projections, altup_unembed_projections;
  Norm norm;
  MLXNX_MEMBERS(embed_tokens, layers, embed_tokens_per_layer, per_layer_model_projection,
                per_layer_projection_norm, altup_projections, altup_unembed_projections, norm)
  std::vector<std::size_t> remembers;  ///< which layer's keys and values each one attends to
  std::int64_t known;                  ///< words that layers get something of
  std::optional<double> cap;

  TextModel(const Config& config, Maker& maker);
  Tensor operator()(const Tensor& tokens, Step& step) const;
  Tensor logits(const Tensor& h) const;
  Tensor layer_inputs(const Tensor& tokens, const Tensor& h) const;
};

TextModel::TextModel(const Config& config, Maker& maker)
    : embed_tokens(maker.embedding(vocabulary_size(config), hidden_size(config))),
      layers(make_layers<Block>(config, layer_count(config), maker)),
      embed_tokens_per_layer(maker.embedding(
          size_in(config, "vocab_size_per_layer_input"),
          size_in(config, "num_hidden_layers") * size_in(config, "hidden_size_per_layer_input"))),
      per_layer_model_projection(maker.linear(
          hidden_size(config),
          size_in(config, "num_hidden_layers") * size_in(config, "hidden_size_per_layer_input"),
          false)),
      per_layer_projection_norm(
          maker.rms_norm(size_in(config, "hidden_size_per_layer_input"), norm_eps(config))),
      norm(rms_norm(config, maker)),
      known(size_in(config, "vocab_size_per_layer_input")) {
  for (std::int64_t other = 1; other < size_in(config, "altup_num_inputs"); ++other) {
    altup_projections.push_back(maker.linear(hidden_size(config), hidden_size(config), false));
    altup_unembed_projections.push_back(
        maker.linear(hidden_size(config), hidden_size(config), false));
  }
  if (config.contains("final_logit_softcapping"))
    cap = config.get<double>("final_logit_softcapping");
  const std::vector<std::string> types = types_of(config);
  const std::size_t first = first_shared(config);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::size_t place = layer + 1;
    if (layer >= first) {
      place = first;
      while (place > 0 && types[place - 1] != types[layer]) --place;
      if (place == 0) {
        throw FormatError(fmt::format(
            "[load] layer {} shares keys and values of {}, and no layer before {} has any", layer,
            types[layer], first));
      }
    }
    remembers.push_back(place - 1);
  }
}

// Of the tokens and of what they are embedded as: [batch, length, layers, size].
Tensor TextModel::layer_inputs(const Tensor& tokens, const Tensor& h) const {
  const auto count = static_cast<std::int64_t>(layers.size());
  const auto apart = [&](const Tensor& all) {
    return reshape(all, {all.shape()[0], all.shape()[1], count, all.shape()[2] / count});
  };
  const Tensor own = apart(embed_tokens_per_layer(select(tokens < known, tokens, 0)));
  const double by = 1 / std::sqrt(static_cast<double>(h.shape().back()));
  const Tensor projected = per_layer_projection_norm(apart(per_layer_model_projection(h) * by));
  const double root = std::sqrt(static_cast<double>(own.shape().back()));
  return (projected + own * root) * (1 / std::sqrt(2.0));
}

Tensor TextModel::operator()(const Tensor& tokens, Step& step) const {
  Tensor h = embed_tokens(tokens);
  h = h * std::sqrt(static_cast<double>(h.shape().back()));
  const Tensor inputs = layer_inputs(tokens, h);
  // Other states are as large as the first.
  const auto as_large = [](const Tensor& x, const Tensor& as) {
    return x * (magnitude(as) / magnitude(x));
  };
  std::vector<Tensor> states{h};
  for (const nn::Linear& project : altup_projections) states.push_back(as_large(project(h), h));
  Tensor all = stack(states);
  std::vector<std::optional<Attended>> attended(layers.size());
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const Tensor input =
        squeeze(slice_along_axis(inputs, static_cast<std::int64_t>(layer), 1, {.axis = 2}),
                {.axes = Axes{2}});
    all = layers[layer](all, step, layer, attended[remembers[layer]], input);
  }
  states = {part(all, 0)};
  for (const nn::Linear& project : altup_unembed_projections) {
    const Tensor state = part(all, static_cast<std::int64_t>(states.size()));
    states.push_back(as_large(project(state), states.front()));
  }
  return norm(mean(stack(states), 0, false));
}

Tensor TextModel::logits(const Tensor& h) const {
  const Tensor words = embed_tokens.as_linear(h);
  return cap ? capped(words, *cap) : words;
}

struct Body {
  TextModel language_model;
  MLXNX_MEMBERS(language_model)
};

struct Model {
  Body model;
  MLXNX_MEMBERS(model)
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : model{{text_config(config), maker}}, cache(full_caches(first_shared(text_config(config)))) {
    const std::vector<std::string> types = types_of(text_config(config));
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (types[layer] == kSliding)
        cache[layer] = windowed_cache(text_config(config).get<std::int64_t>("sliding_window"));
    }
  }
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.language_model(tokens, step);
  }
  Tensor logits(const Tensor& h) const { return model.language_model.logits(h); }
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config&) {
  drop_unused(weights, true);
  drop(weights, [](std::string_view name) {
    return std::ranges::any_of(
        std::initializer_list<std::string_view>{"model.vision_tower.", "model.audio_tower.",
                                                "model.embed_audio.", "model.embed_vision."},
        [&](std::string_view other) { return name.starts_with(other); });
  });
}

}  // namespace

const Family kFamily{"gemma3n", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gemma3n
