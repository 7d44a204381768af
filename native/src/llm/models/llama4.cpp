// Llama 4 without its eyes. mlx-lm: models/llama4.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::llama4 {
namespace {

// Three layers of four see chunks and tell positions, the fourth sees everything.
bool is_chunked(std::size_t layer) { return (layer + 1) % 4 != 0; }

Attention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias", false);
  std::optional<Rope> rope;
  if (is_chunked(layer)) {
    RopeSettings settings = rope_settings(config, options.head_dim);
    settings.traditional = true;
    rope = Rope(settings);
  }
  Attention attention(options, rope, maker);
  attention.norms_last = true;
  if (is_chunked(layer)) {
    attention.attending.chunk = size_in(config, "attention_chunk_size");
    if (config.get<bool>("use_qk_norm")) attention.q_norm = attention.k_norm = Norm(1e-6);
  } else if (!config.is_null("attn_temperature_tuning") &&
             config.get<std::int64_t>("attn_temperature_tuning", 4) != 0) {
    attention.growth = QueryGrowth{.beta = config.get<double>("attn_scale", 0.1),
                                   .length = config.get<double>("floor_scale", 8192.0),
                                   .first = 1};
  }
  return attention;
}

struct Experts {
  SwitchGlu experts;
  nn::Linear router;
  GatedMlp shared_expert;
  MLXNX_MEMBERS(experts, router, shared_expert)

  Experts(const Config& config, Maker& maker)
      : experts(hidden_size(config), size_in(config, "intermediate_size"),
                size_in(config, "num_local_experts"), maker),
        router(maker.linear(hidden_size(config), size_in(config, "num_local_experts"), false)),
        shared_expert(gated_mlp(config, maker)) {
    if (const auto count = config.get<std::int64_t>("num_experts_per_tok"); count != 1) {
      throw UnsupportedError(
          fmt::format("[load] num_experts_per_tok is {}, and Llama 4 has 1", count));
    }
  }

  // The score weighs what goes into the expert, not what comes out.
  Tensor operator()(const Tensor& x) const {
    const auto [largest, expert] = top_k(router(x), 1);
    const Tensor score = as_type(sigmoid(as_type(largest, DType::f32)), x.dtype());
    return squeeze(experts(x * score, expert), {.axes = Axes{-2}}) + shared_expert(x);
  }
};

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  const auto step = static_cast<std::size_t>(size_in(config, "interleave_moe_layer_step"));
  if (layer % step == step - 1) return Experts(config, maker);
  return GatedMlp(hidden_size(config), size_in(config, "intermediate_size_mlp"), false, maker);
}

struct Block : PreNormBlock<Attention, Mlp> {
  static constexpr const char* member_names() {
    return "self_attn, feed_forward, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model {
  CausalLm<Block> language_model;
  MLXNX_MEMBERS(language_model)

  Model(const Config& config, Maker& maker) : language_model(text_config(config), maker, false) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return language_model.hidden(tokens, step);
  }
  Tensor logits(const Tensor& h) const { return language_model.logits(h); }
  std::vector<LayerCache> make_cache() const { return language_model.make_cache(); }
};

// `[experts, inputs, outputs]` under a name of its own, as the weight of a layer.
Tensor turned(const Tensor& matrices) { return transpose(matrices, {.axes = Axes{0, 2, 1}}); }

void sanitize(nn::Parameters& weights, const Config& config) {
  drop(weights, [](std::string_view name) {
    return name.find("vision_model") != std::string_view::npos ||
           name.find("multi_modal_projector") != std::string_view::npos;
  });
  for (std::size_t layer = 0; layer < layer_count(text_config(config)); ++layer) {
    const std::string experts =
        fmt::format("language_model.model.layers.{}.feed_forward.experts", layer);
    for (const char* part : {".gate_up_proj", ".down_proj"}) {
      const auto found = weights.find(experts + part);
      if (found == weights.end()) continue;
      if (found->second.rank() != 3) {
        throw FormatError(fmt::format("[load] {} is {}, and matrices of experts are wanted",
                                      found->first, to_string(found->second.type())));
      }
      found->second = turned(found->second);
    }
    split_gated_experts(weights, experts + ".gate_up_proj", experts);
    rename_one(weights, experts + ".down_proj", experts + ".down_proj.weight");
  }
}

}  // namespace

const Family kFamily{"llama4", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::llama4
