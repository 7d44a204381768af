// Nemotron H: layers that are a state space, an attention, experts or a plain layer, each behind a
// norm. mlx-lm: models/nemotron_h.py
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm::nemotron_h {
namespace {

char sign_of(std::string_view type) {
  if (type == "full_attention" || type == "attention" || type == "*") return '*';
  if (type == "linear_attention" || type == "mamba" || type == "conv" || type == "M") return 'M';
  if (type == "moe" || type == "E") return 'E';
  if (type == "mlp" || type == "-") return '-';
  throw FormatError(fmt::format(
      "[load] a layer is {:?}; attention (*), mamba (M), moe (E) and mlp (-) are known", type));
}

bool has_cache(char sign) { return sign == 'M' || sign == '*'; }

// A sign for each layer: M, *, E or -.
std::string pattern(const Config& config) {
  std::string_view key = "hybrid_override_pattern";
  if (!config.contains(key)) key = "layers_block_type";
  if (!config.contains(key)) key = "layer_types";
  std::string signs;
  if (config.holds_list(key)) {
    for (const std::string& type : config.get<std::vector<std::string>>(key))
      signs += sign_of(type);
  } else {
    for (const char type : config.get<std::string>(key)) signs += sign_of({&type, 1});
  }
  return signs;
}

Mamba2Options mixer_options(const Config& config) {
  Mamba2Options options{.dims = hidden_size(config),
                        .heads = size_in(config, "mamba_num_heads"),
                        .head_dim = size_in(config, "mamba_head_dim"),
                        .state_size = size_in(config, "ssm_state_size"),
                        .groups = size_in(config, "n_groups"),
                        .kernel = size_in(config, "conv_kernel"),
                        .conv_bias = config.get<bool>("use_conv_bias"),
                        .bias = config.get<bool>("mamba_proj_bias"),
                        .norm_eps = norm_eps(config),
                        .norm_groups = size_in(config, "n_groups")};
  if (config.contains("time_step_limit")) take_time_limits(options, config);
  return options;
}

Attention make_attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = config.get<bool>("attention_bias");
  return {options, std::nullopt, maker};
}

PlainMlp mlp_of(const Config& config, std::int64_t hidden, Maker& maker) {
  return {hidden_size(config), hidden, config.get<bool>("mlp_bias"), maker, &nn::relu2};
}

RoutingOptions routing(const Config& config) {
  const auto count = size_in(config, "num_experts_per_tok");
  return {.experts = size_in(config, "n_routed_experts"),
          .count = count,
          .is_sigmoid = true,
          .normalized = count > 1 && config.get<bool>("norm_topk_prob", false),
          .least_sum = 1e-20,
          .scale = config.get<double>("routed_scaling_factor"),
          .groups = size_in(config, "n_group", 1),
          .kept_groups = size_in(config, "topk_group", 1),
          .per_group = 2};
}

// Experts may work in a narrower space than the model's.
struct Experts {
  SwitchMlp switch_mlp;
  CorrectedGate gate;
  std::optional<PlainMlp> shared_experts;
  std::optional<nn::Linear> fc1_latent_proj, fc2_latent_proj;
  MLXNX_MEMBERS(switch_mlp, gate, shared_experts, fc1_latent_proj, fc2_latent_proj)
  RoutingOptions options;

  Experts(const Config& config, Maker& maker)
      : switch_mlp(size_in(config, "moe_latent_size", hidden_size(config)),
                   size_in(config, "moe_intermediate_size"), size_in(config, "n_routed_experts"),
                   maker, false, &nn::relu2),
        gate(hidden_size(config), size_in(config, "n_routed_experts"), true, maker),
        options(routing(config)) {
    check(options);
    if (config.contains("n_shared_experts"))
      shared_experts =
          mlp_of(config, size_in(config, "moe_shared_expert_intermediate_size"), maker);
    if (!config.contains("moe_latent_size")) return;
    const std::int64_t latent = size_in(config, "moe_latent_size");
    const bool bias = config.get<bool>("mlp_bias");
    fc1_latent_proj = maker.linear(hidden_size(config), latent, bias);
    fc2_latent_proj = maker.linear(latent, hidden_size(config), bias);
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = gate(x, options);
    Tensor y = mixed(switch_mlp(fc1_latent_proj ? (*fc1_latent_proj)(x) : x, routed.experts),
                     routed.scores);
    if (fc2_latent_proj) y = (*fc2_latent_proj)(y);
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

// Whatever a layer is, it is named `mixer`.
struct Mixers {
  nn::RMSNorm norm;
  std::optional<Mamba2Mixer> mamba = {};
  std::optional<Attention> attention = {};
  std::optional<Experts> experts = {};
  std::optional<PlainMlp> mlp = {};
  MLXNX_MEMBERS(norm, mamba, attention, experts, mlp)
};

struct Block : Mixers {
  static constexpr const char* member_names() { return "norm, mixer, mixer, mixer, mixer"; }
  std::size_t cache;  ///< its place among the caches: not every layer has one

  Block(const Config& config, std::size_t layer, Maker& maker)
      : Mixers{.norm = maker.rms_norm(hidden_size(config), norm_eps(config))} {
    const std::string signs = pattern(config);
    cache = static_cast<std::size_t>(std::ranges::count_if(signs.substr(0, layer), &has_cache));
    const char sign = signs.at(layer);
    if (sign == 'M') {
      mamba.emplace(mixer_options(config), maker);
    } else if (sign == '*') {
      attention = make_attention(config, maker);
    } else if (sign == 'E') {
      experts.emplace(config, maker);
    } else {
      mlp = mlp_of(config, size_in(config, "intermediate_size"), maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t) const {
    const Tensor h = norm(x);
    if (mamba) return x + (*mamba)(h, step, cache);
    if (attention) return x + (*attention)(h, step, cache);
    return x + (experts ? (*experts)(h) : (*mlp)(h));
  }
};

struct Backbone : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "embeddings, layers, norm_f"; }
};

// The layers are counted by the pattern.
Config settings(const Config& config) {
  Config result = with_norm_eps(config, "layer_norm_epsilon");
  result.set("num_hidden_layers", static_cast<std::int64_t>(pattern(config).size()));
  return result;
}

struct Model : CausalLm<Block, Backbone> {
  static constexpr const char* member_names() { return "backbone, lm_head"; }

  Model(const Config& config, Maker& maker) : CausalLm(settings(config), maker, false) {}
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) {
      if (block.mamba) caches.emplace_back(recurrent_cache());
      if (block.attention) caches.emplace_back(KeyValues{});
    }
    return caches;
  }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop(weights, [](std::string_view name) { return name.starts_with("mtp."); });
  take_published_convs(weights);
  const std::string signs = pattern(config);
  for (std::size_t layer = 0; layer < signs.size(); ++layer) {
    if (signs[layer] != 'E') continue;
    const std::string prefix = fmt::format("backbone.layers.{}.mixer", layer);
    const std::int64_t count = size_in(config, "n_routed_experts");
    stack_experts(weights, prefix, "up_proj", "switch_mlp.fc1", count);
    stack_experts(weights, prefix, "down_proj", "switch_mlp.fc2", count);
  }
}

}  // namespace

const Family kFamily{"nemotron_h", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::nemotron_h
