// Qwen 3.5, its text: linear attentions by the delta rule, every fourth a gated one, with experts
// or without. mlx-lm:
// models/qwen3_5.py, models/qwen3_5_moe.py
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/delta_block.h"
#include "llm/parts/gated_delta.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::qwen3_5 {
namespace {

struct LinearAttention : GatedDelta {
  nn::Linear in_proj_qkv, in_proj_z, in_proj_b, in_proj_a;
  MLXNX_MEMBERS(conv1d, in_proj_qkv, in_proj_z, in_proj_b, in_proj_a, dt_bias, A_log, norm,
                out_proj)

  LinearAttention(const Config& config, Maker& maker)
      : GatedDelta(config, maker),
        in_proj_qkv(maker.linear(hidden_size(config), 2 * keys_size() + values_size(), false)),
        in_proj_z(maker.linear(hidden_size(config), values_size(), false)),
        in_proj_b(maker.linear(hidden_size(config), heads, false)),
        in_proj_a(maker.linear(hidden_size(config), heads, false)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor gate = reshape(in_proj_z(x), {step.batch(), step.length(), heads, value_dim});
    return finish(in_proj_qkv(x), gate, in_proj_a(x), in_proj_b(x), step, layer);
  }
};

// The settings of the text, with rope_parameters where others have them.
Config settings(const Config& config) {
  Config text = with_defaults(text_config(config), R"({
    "rms_norm_eps": 1e-6, "linear_num_value_heads": 64, "linear_num_key_heads": 16,
    "linear_key_head_dim": 192, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
    "norm_topk_prob": true
  })");
  // Experts are in all layers or in none.
  text.erase("mlp_only_layers");
  text.erase("decoder_sparse_step");
  const bool has_rope = text.holds_object("rope_parameters");
  const Config rope = has_rope ? text.get<Config>("rope_parameters") : Config();
  text.set("rope_theta", rope.get<double>("rope_theta", 100'000.0));
  text.set("partial_rotary_factor", rope.get<double>("partial_rotary_factor", 0.25));
  text.erase("rope_scaling");
  if (has_rope) text.set("rope_scaling", rope);
  return text;
}

struct Model {
  DeltaLm<LinearAttention> language_model;
  MLXNX_MEMBERS(language_model)

  Model(const Config& config, Maker& maker) : language_model(settings(config), maker) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return language_model.hidden(tokens, step);
  }
  Tensor logits(const Tensor& h) const { return language_model.logits(h); }
  std::vector<LayerCache> make_cache() const { return language_model.make_cache(); }
};

std::string renamed(std::string_view name) {
  constexpr std::string_view kPublished = "model.language_model";
  if (name.starts_with("vision_tower") || name.starts_with("model.visual") ||
      name.find("mtp.") != std::string_view::npos)
    return {};
  if (name.starts_with(kPublished))
    return "language_model.model" + std::string(name.substr(kPublished.size()));
  return name.starts_with("language_model.") ? std::string(name)
                                             : "language_model." + std::string(name);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  rename(weights, &renamed);
  for (std::size_t layer = 0; layer < layer_count(text_config(config)); ++layer) {
    const std::string mlp = fmt::format("language_model.model.layers.{}.mlp.", layer);
    split_gated_experts(weights, mlp + "experts.gate_up_proj", mlp + "switch_mlp");
    rename_one(weights, mlp + "experts.down_proj", mlp + "switch_mlp.down_proj.weight");
  }
  if (settings(config).get<bool>("tie_word_embeddings", false)) {
    drop(weights,
         [](std::string_view name) { return name.starts_with("language_model.lm_head."); });
  }
  if (take_published_convs(weights)) add_one_to_norms(weights);
}

}  // namespace

const Family kFamily{"qwen3_5", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::qwen3_5
