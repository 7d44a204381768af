// Gemma 4 for text, and without the other senses. mlx-lm: models/gemma4_text.py, gemma4.py
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::gemma4_text {
namespace {

constexpr std::string_view kDefaults = R"({
  "hidden_size": 1536, "num_hidden_layers": 35, "intermediate_size": 6144,
  "num_attention_heads": 8, "head_dim": 256, "global_head_dim": 512, "rms_norm_eps": 1e-6,
  "vocab_size": 262144, "vocab_size_per_layer_input": 262144, "num_key_value_heads": 1,
  "num_kv_shared_layers": 20, "hidden_size_per_layer_input": 256, "sliding_window": 512,
  "sliding_window_pattern": 5, "final_logit_softcapping": 30.0,
  "rope_parameters": {
    "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1e6,
                       "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}}})";

constexpr std::string_view kSliding = "sliding_attention", kFull = "full_attention";

std::vector<std::string> types_of(const Config& config) {
  const std::size_t count = layer_count(config);
  std::vector<std::string> types;
  if (config.contains("layer_types")) {
    types = layer_types(config);
  } else {
    const auto pattern = static_cast<std::size_t>(size_in(config, "sliding_window_pattern"));
    for (std::size_t layer = 0; layer < count; ++layer)
      types.emplace_back((layer + 1) % pattern == 0 ? kFull : kSliding);
  }
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
  if (shared < 0 || shared >= count) {
    throw FormatError(fmt::format("[load] num_kv_shared_layers is {} of {} layers", shared, count));
  }
  return static_cast<std::size_t>(count - shared);
}

struct Attention {
  nn::Linear q_proj;
  std::optional<nn::Linear> k_proj, v_proj;
  nn::Linear o_proj;
  Norm q_norm;
  std::optional<Norm> k_norm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm)
  Norm v_norm;
  Rope rope;
  std::int64_t heads, kv_heads;

  // Keys are also the values where those have no matrix.
  Attended remember(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor keys = to_heads((*k_proj)(x), kv_heads);
    const Tensor values = v_proj ? to_heads((*v_proj)(x), kv_heads) : keys;
    return step.attend(layer, rope((*k_norm)(keys), step), v_norm(values));
  }
  Tensor operator()(const Tensor& x, const Attended& attended, const Step& step) const {
    const Tensor queries = rope(q_norm(to_heads(q_proj(x), heads)), step);
    return o_proj(from_heads(attend_to(attended, queries, step, {.scale = 1})));
  }
};

Attention make_attention(const Config& config, std::size_t layer, Maker& maker) {
  const std::string type = types_of(config)[layer];
  const AttentionOptions sizes = attention_options(config);
  const bool is_full = type == kFull;
  // A size of 0 counts as none.
  const auto global = config.get<std::int64_t>("global_head_dim", 0);
  const std::int64_t size = is_full && global != 0 ? global : size_in(config, "head_dim");
  const bool is_one = is_full && config.get<bool>("attention_k_eq_v", false);
  std::int64_t kv_heads = sizes.kv_heads;
  if (is_one) kv_heads = size_in(config, "num_global_key_value_heads", kv_heads);
  if (size < 1 || sizes.heads % kv_heads != 0) {
    throw FormatError(fmt::format("[load] {} heads of {} numbers share {} of keys and values",
                                  sizes.heads, size, kv_heads));
  }
  const Config all = config.get<Config>("rope_parameters");
  const Config own = all.holds_object(type) ? all.get<Config>(type) : Config();
  const auto norm = [&] { return Norm(maker.rms_norm(size, norm_eps(config))); };
  Attention result{
      .q_proj = maker.linear(sizes.dims, sizes.heads * size, false),
      .k_proj = {},
      .v_proj = {},
      .o_proj = maker.linear(sizes.heads * size, sizes.dims, false),
      .q_norm = norm(),
      .k_norm = {},
      .v_norm = Norm(norm_eps(config)),
      .rope = Rope({.dims = size,
                    .base = own.get<double>("rope_theta", 10'000),
                    .traditional = config.get<bool>("rope_traditional", false),
                    .scaling = own,
                    .max_positions = config.get<std::int64_t>("max_position_embeddings", 131'072)}),
      .heads = sizes.heads,
      .kv_heads = kv_heads};
  if (layer >= first_shared(config)) return result;
  result.k_proj = maker.linear(sizes.dims, kv_heads * size, false);
  result.k_norm = norm();
  if (!is_one) result.v_proj = maker.linear(sizes.dims, kv_heads * size, false);
  return result;
}

struct Router {
  nn::Linear proj;
  Tensor scale, per_expert_scale;
  MLXNX_MEMBERS(proj, scale, per_expert_scale)
  std::int64_t count;
  double eps;

  Routed operator()(const Tensor& x) const {
    const double root = 1 / std::sqrt(static_cast<double>(x.shape().back()));
    const Tensor normed = fast::rms_norm(x, scale * root, {.eps = eps});
    const Routed routed = route_by_largest(proj(normed), count);
    return {routed.experts, routed.scores * take(per_expert_scale, routed.experts)};
  }
};

struct Experts {
  SwitchGlu switch_glu;
  MLXNX_MEMBERS(switch_glu)
};

struct Block {
  Attention self_attn;
  GatedMlp mlp;
  Norm input_layernorm, post_attention_layernorm;
  Norm pre_feedforward_layernorm, post_feedforward_layernorm;
  // Experts beside the MLP.
  std::optional<Router> router;
  std::optional<Experts> experts;
  std::optional<Norm> post_feedforward_layernorm_1, post_feedforward_layernorm_2;
  std::optional<Norm> pre_feedforward_layernorm_2;
  // What the layer gets of the tokens themselves.
  std::optional<nn::Linear> per_layer_input_gate, per_layer_projection;
  std::optional<Norm> post_per_layer_input_norm;
  Tensor layer_scalar;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm,
                pre_feedforward_layernorm, post_feedforward_layernorm, router, experts,
                post_feedforward_layernorm_1, post_feedforward_layernorm_2,
                pre_feedforward_layernorm_2, per_layer_input_gate, per_layer_projection,
                post_per_layer_input_norm, layer_scalar)

  Block(const Config& config, std::size_t layer, Maker& maker);
  // `attended`: what an earlier layer remembers, or this one's own from now on.
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer,
                    std::optional<Attended>& attended, const std::optional<Tensor>& input) const;
  Tensor mixture(const Tensor& h) const;
};

std::int64_t width_of(const Config& config, std::size_t layer) {
  const std::size_t first = first_shared(config);
  const bool is_wide = config.get<bool>("use_double_wide_mlp", true) && layer >= first && first > 0;
  return size_in(config, "intermediate_size") * (is_wide ? 2 : 1);
}

Block::Block(const Config& config, std::size_t layer, Maker& maker)
    : self_attn(make_attention(config, layer, maker)),
      mlp(hidden_size(config), width_of(config, layer), false, maker, &nn::gelu_approx),
      input_layernorm(rms_norm(config, maker)),
      post_attention_layernorm(rms_norm(config, maker)),
      pre_feedforward_layernorm(rms_norm(config, maker)),
      post_feedforward_layernorm(rms_norm(config, maker)),
      layer_scalar(maker.tensor({1})) {
  const std::int64_t dims = hidden_size(config);
  if (config.get<bool>("enable_moe_block", false)) {
    const std::int64_t count = size_in(config, "num_experts");
    const std::int64_t chosen = size_in(config, "top_k_experts");
    check({.experts = count, .count = chosen});
    router = Router{.proj = maker.linear(dims, count, false),
                    .scale = maker.tensor({dims}),
                    .per_expert_scale = maker.tensor({count}),
                    .count = chosen,
                    .eps = norm_eps(config)};
    experts = Experts{SwitchGlu(dims, size_in(config, "moe_intermediate_size"), count, maker, false,
                                &gelu_gating)};
    post_feedforward_layernorm_1 = post_feedforward_layernorm_2 = pre_feedforward_layernorm_2 =
        rms_norm(config, maker);
  }
  if (config.get<std::int64_t>("hidden_size_per_layer_input") != 0) {
    const std::int64_t size = size_in(config, "hidden_size_per_layer_input");
    per_layer_input_gate = maker.linear(dims, size, false);
    per_layer_projection = maker.linear(size, dims, false);
    post_per_layer_input_norm = rms_norm(config, maker);
  }
}

Tensor Block::mixture(const Tensor& h) const {
  const Routed routed = (*router)(h);
  const Tensor answers = experts->switch_glu((*pre_feedforward_layernorm_2)(h), routed.experts);
  return (*post_feedforward_layernorm_2)(
      sum(new_axis(routed.scores, -1) * answers, {.axes = Axes{-2}}));
}

Tensor Block::operator()(const Tensor& x, Step& step, std::size_t layer,
                         std::optional<Attended>& attended,
                         const std::optional<Tensor>& input) const {
  const Tensor normed = input_layernorm(x);
  if (self_attn.k_proj) attended = self_attn.remember(normed, step, layer);
  Tensor h = x + post_attention_layernorm(self_attn(normed, *attended, step));
  Tensor next = mlp(pre_feedforward_layernorm(h));
  if (router) next = (*post_feedforward_layernorm_1)(next) + mixture(h);
  h = h + post_feedforward_layernorm(next);
  if (input) {
    const Tensor gate = gated(&nn::gelu_approx, (*per_layer_input_gate)(h), *input);
    h = h + (*post_per_layer_input_norm)((*per_layer_projection)(gate));
  }
  return h * layer_scalar;
}

struct TextModel {
  nn::Embedding embed_tokens;
  std::vector<Block> layers;
  Norm norm;
  std::optional<nn::Embedding> embed_tokens_per_layer;
  std::optional<nn::Linear> per_layer_model_projection;
  std::optional<Norm> per_layer_projection_norm;
  MLXNX_MEMBERS(embed_tokens, layers, norm, embed_tokens_per_layer, per_layer_model_projection,
                per_layer_projection_norm)
  std::vector<std::size_t> remembers;  // which layer's keys and values each one attends to

  TextModel(const Config& config, Maker& maker);
  Tensor operator()(const Tensor& tokens, Step& step) const;
  Tensor layer_inputs(const Tensor& tokens, const Tensor& h) const;
};

TextModel::TextModel(const Config& config, Maker& maker)
    : embed_tokens(maker.embedding(vocabulary_size(config), hidden_size(config))),
      layers(make_layers<Block>(config, layer_count(config), maker)),
      norm(rms_norm(config, maker)) {
  const std::vector<std::string> types = types_of(config);
  const std::size_t first = first_shared(config);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::size_t place = layer;
    if (layer >= first) {
      place = first;
      while (place > 0 && types[place - 1] != types[layer]) --place;
      if (place-- == 0) {
        throw FormatError(fmt::format(
            "[load] layer {} shares keys and values of {}, and no layer before {} has any", layer,
            types[layer], first));
      }
    }
    remembers.push_back(place);
  }
  const auto size = config.get<std::int64_t>("hidden_size_per_layer_input");
  if (size == 0) return;
  const auto all = static_cast<std::int64_t>(layers.size()) * size;
  embed_tokens_per_layer = maker.embedding(size_in(config, "vocab_size_per_layer_input"), all);
  per_layer_model_projection = maker.linear(hidden_size(config), all, false);
  per_layer_projection_norm = maker.rms_norm(size, norm_eps(config));
}

// Of the tokens and of what they are embedded as: [batch, length, layers, size].
Tensor TextModel::layer_inputs(const Tensor& tokens, const Tensor& h) const {
  const auto count = static_cast<std::int64_t>(layers.size());
  const auto apart = [&](const Tensor& all) {
    return reshape(all, {all.shape()[0], all.shape()[1], count, all.shape()[2] / count});
  };
  const Tensor own = apart((*embed_tokens_per_layer)(tokens));
  const double by = 1 / std::sqrt(static_cast<double>(h.shape().back()));
  const Tensor projected = (*per_layer_projection_norm)(apart((*per_layer_model_projection)(h)*by));
  const double root = std::sqrt(static_cast<double>(own.shape().back()));
  return (projected + own * root) * (1 / std::sqrt(2.0));
}

Tensor TextModel::operator()(const Tensor& tokens, Step& step) const {
  Tensor h = embed_tokens(tokens);
  h = h * std::sqrt(static_cast<double>(h.shape().back()));
  std::optional<Tensor> inputs;
  if (embed_tokens_per_layer) inputs = layer_inputs(tokens, h);
  std::vector<std::optional<Attended>> attended(layers.size());
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::optional<Tensor> input;
    if (inputs) {
      input = squeeze(slice_along_axis(*inputs, static_cast<std::int64_t>(layer), 1, {.axis = 2}),
                      {.axes = Axes{2}});
    }
    h = layers[layer](h, step, layer, attended[remembers[layer]], input);
  }
  return norm(h);
}

struct Model {
  TextModel model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)
  double cap;
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const { return model(tokens, step); }
  Tensor logits(const Tensor& h) const {
    const Tensor logits = lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
    return cap == 0 ? logits : capped(logits, cap);
  }
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : model(config, maker),
        cap(config.get<double>("final_logit_softcapping", 0)),
        cache(full_caches(first_shared(config))) {
    if (!is_tied(config, true))
      lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
    const std::vector<std::string> types = types_of(config);
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (types[layer] == kSliding)
        cache[layer] = windowed_cache(size_in(config, "sliding_window"));
    }
  }
};

// The number behind "layers.", if there is one.
std::optional<std::size_t> layer_of(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  const std::size_t at = name.find(kLayers);
  if (at == std::string_view::npos) return std::nullopt;
  std::size_t number = 0;
  const char* const begin = name.data() + at + kLayers.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  const std::size_t first = first_shared(config);
  constexpr std::array kUnused = {"self_attn.rotary_emb", "input_max", "input_min", "output_max",
                                  "output_min"};
  constexpr std::array kShared = {".self_attn.k_proj", ".self_attn.v_proj", ".self_attn.k_norm"};
  drop(weights, [&](std::string_view name) {
    const auto has = [&](const char* part) { return name.find(part) != std::string_view::npos; };
    if (std::ranges::any_of(kUnused, has)) return true;
    return std::ranges::any_of(kShared, has) && layer_of(name).value_or(0) >= first;
  });
  std::vector<std::string> names;
  for (const auto& [name, tensor] : weights) names.push_back(name);
  for (const std::string& name : names) {
    if (name.ends_with(".experts.gate_up_proj")) {
      split_gated_experts(weights, name, replaced(name, ".gate_up_proj", ".switch_glu"));
    } else if (name.ends_with(".experts.down_proj")) {
      rename_one(weights, name, replaced(name, ".down_proj", ".switch_glu.down_proj.weight"));
    }
  }
}

// Beside other senses.
struct Nested {
  Model language_model;
  MLXNX_MEMBERS(language_model)

  Nested(const Config& config, Maker& maker) : language_model(inner(config), maker) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return language_model.hidden(tokens, step);
  }
  Tensor logits(const Tensor& h) const { return language_model.logits(h); }
  std::vector<LayerCache> make_cache() const { return language_model.make_cache(); }

  static Config inner(const Config& config) {
    Config text = text_config(config);
    text.set("vocab_size", config.get<std::int64_t>("vocab_size", 262'144));
    return text;
  }
};

void sanitize_nested(nn::Parameters& weights, const Config& config) {
  constexpr std::array kSenses = {"vision_tower", "multi_modal_projector", "audio_tower",
                                  "embed_audio",  "embed_vision",          "vision_embedder"};
  rename(weights, [&](std::string_view name) -> std::string {
    constexpr std::string_view kModel = "model.";
    const bool is_below = name.starts_with(kModel);
    const std::string_view own = is_below ? name.substr(kModel.size()) : name;
    if (std::ranges::any_of(kSenses, [&](const char* sense) { return own.starts_with(sense); }))
      return "";
    return is_below && own.starts_with("language_model")
               ? replaced(own, "language_model.", "language_model.model.")
               : std::string(own);
  });
  sanitize(weights, Nested::inner(config));
}

}  // namespace

const Family kNested{"gemma4", &make_module<Nested>, &sanitize_nested};
const Family kFamily{"gemma4_text", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::gemma4_text
