// MiMo-V2-Flash. mlx-lm: models/mimo_v2_flash.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::mimo_v2_flash {
namespace {

// The settings under the names that other families have.
Config renamed(Config config) {
  config.set_from("rms_norm_eps", config, "layernorm_epsilon");
  return config;
}

bool flag_of(const Config& config, std::string_view key, std::size_t layer) {
  const auto each = config.get<std::vector<std::int64_t>>(key);
  if (each.size() < layer_count(config)) {
    throw FormatError(fmt::format("[load] {} has {} entries for {} layers", key, each.size(),
                                  layer_count(config)));
  }
  return each[layer] == 1;
}

bool has_window(const Config& config, std::size_t layer) {
  return flag_of(config, "hybrid_layer_pattern", layer);
}

// Values are of another size than keys, and scaled; sinks are among what is remembered of
// attending.
struct SelfAttention : AttentionCore {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  static constexpr const char* member_names() {
    return "q_proj, k_proj, v_proj, o_proj, attention_sink_bias";
  }
  template <typename Visit>
  void visit_members(Visit&& visit) {
    visit(q_proj, k_proj, v_proj, o_proj, attending.sinks);
  }
  template <typename Visit>
  void visit_members(Visit&& visit) const {
    visit(q_proj, k_proj, v_proj, o_proj, attending.sinks);
  }
  std::optional<double> value_scale;

  SelfAttention(const AttentionOptions& options, std::int64_t value_dims, Rope rope, Maker& maker)
      : AttentionCore(options, std::move(rope)),
        q_proj(maker.linear(options.dims, options.heads * options.head_dim, false)),
        k_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, false)),
        v_proj(maker.linear(options.dims, options.kv_heads * value_dims, false)),
        o_proj(maker.linear(options.heads * value_dims, options.dims, false)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    Tensor values = v_proj(x);
    if (value_scale) values = values * *value_scale;
    return o_proj(AttentionCore::operator()(q_proj(x), k_proj(x), values, step, layer));
  }
};

SelfAttention attention(Config config, std::size_t layer, Maker& maker) {
  const bool is_windowed = has_window(config, layer);
  if (is_windowed) {
    for (const char* key :
         {"num_attention_heads", "num_key_value_heads", "head_dim", "v_head_dim", "rope_theta"})
      config.set_from(key, config, std::string("swa_") + key);
  }
  const AttentionOptions options = attention_options(config);
  const std::int64_t turned =
      rotary_dims(options.head_dim, config.get<double>("partial_rotary_factor"));
  SelfAttention result(options, size_in(config, "v_head_dim"),
                       Rope({.dims = turned, .base = config.get<double>("rope_theta")}), maker);
  if (config.contains("attention_value_scale"))
    result.value_scale = config.get<double>("attention_value_scale");
  if (config.get<bool>(is_windowed ? "add_swa_attention_sink_bias"
                                   : "add_full_attention_sink_bias"))
    result.attending.sinks = maker.tensor({options.heads});
  return result;
}

DeepseekMlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (!flag_of(config, "moe_layer_freq", layer)) return gated_mlp(config, maker);
  return deepseek_experts(config, maker, 1e-20);
}

struct Block : PreNormBlock<SelfAttention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, layer, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::vector<LayerCache> cache;

  Model(const Config& config, Maker& maker)
      : CausalLm(renamed(config), maker, false), cache(full_caches(model.layers.size())) {
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      if (has_window(config, layer))
        cache[layer] = windowed_cache(size_in(config, "sliding_window_size"));
    }
  }
  std::vector<LayerCache> make_cache() const { return cache; }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop(weights, [](std::string_view name) { return name.starts_with("model.mtp"); });
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("n_routed_experts", 0));
}

}  // namespace

const Family kFamily{"mimo_v2_flash", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::mimo_v2_flash
