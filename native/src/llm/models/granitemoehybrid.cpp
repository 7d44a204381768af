// Granite 4: state spaces of Mamba 2 and attentions, each before experts or a plain layer. mlx-lm:
// models/granitemoehybrid.py
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/largest_experts.h"
#include "llm/parts/mlp.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::granitemoehybrid {
namespace {

bool has_experts(const Config& config) {
  return config.get<std::int64_t>("num_local_experts", 0) != 0;
}

Mamba2Options mixer_options(const Config& config) {
  Mamba2Options options{.dims = hidden_size(config),
                        .heads = size_in(config, "mamba_n_heads"),
                        .head_dim = size_in(config, "mamba_d_head"),
                        .state_size = size_in(config, "mamba_d_state"),
                        .groups = size_in(config, "mamba_n_groups"),
                        .kernel = size_in(config, "mamba_d_conv"),
                        .conv_bias = config.get<bool>("mamba_conv_bias", false),
                        .bias = config.get<bool>("mamba_proj_bias", false),
                        .limits = {.least_time = 0.001, .most_time = 100},
                        .norm_eps = norm_eps(config)};
  if (config.contains("time_step_limit")) take_time_limits(options, config);
  return options;
}

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("attention_bias");
  options.scale = config.get<double>("attention_multiplier");
  if (config.get<std::string>("position_embedding_type", "rope") == "nope")
    return {options, std::nullopt, maker};
  RopeSettings rope = rope_settings(config, options.head_dim, 10'000);
  rope.base = nested_base(config, rope.base);
  rope.scaling.reset();
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

struct SharedMlp : FusedGatedMlp {
  using FusedGatedMlp::FusedGatedMlp;
  static constexpr const char* member_names() { return "input_linear, output_linear"; }
};

struct Experts : LargestExperts {
  using LargestExperts::LargestExperts;
  static constexpr const char* member_names() { return "switch_mlp, router.layer"; }
};

struct Block {
  std::optional<Mamba2Mixer> mamba;
  std::optional<Attention> self_attn;
  std::optional<Experts> block_sparse_moe;
  std::optional<SharedMlp> shared_mlp;
  std::optional<GatedMlp> mlp;
  nn::RMSNorm input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(mamba, self_attn, block_sparse_moe, shared_mlp, mlp, input_layernorm,
                post_attention_layernorm)
  double factor;  ///< of what is added

  Block(const Config& config, std::size_t layer, Maker& maker)
      : input_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))),
        post_attention_layernorm(maker.rms_norm(hidden_size(config), norm_eps(config))),
        factor(config.get<double>("residual_multiplier")) {
    const std::string type = layer_types(config).at(layer);
    if (type == "mamba") {
      mamba.emplace(mixer_options(config), maker);
    } else if (type == "attention") {
      self_attn = attention(config, maker);
    } else {
      throw FormatError(fmt::format(
          "[load] layer_types names {:?}; \"mamba\" and \"attention\" are known", type));
    }
    if (has_experts(config)) {
      block_sparse_moe.emplace(hidden_size(config), size_in(config, "intermediate_size"),
                               RoutingOptions{.experts = size_in(config, "num_local_experts"),
                                              .count = size_in(config, "num_experts_per_tok")},
                               maker);
      shared_mlp.emplace(hidden_size(config), size_in(config, "shared_intermediate_size"), maker);
    } else {
      mlp.emplace(hidden_size(config), size_in(config, "intermediate_size"),
                  config.get<bool>("mlp_bias", false), maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor before = input_layernorm(x);
    const Tensor h =
        x + (mamba ? (*mamba)(before, step, layer) : (*self_attn)(before, step, layer)) * factor;
    const Tensor after = post_attention_layernorm(h);
    return h + (mlp ? (*mlp)(after) : (*block_sparse_moe)(after) + (*shared_mlp)(after)) * factor;
  }
};

struct Model : CausalLm<Block> {
  double embedding_factor, logits_divisor;

  Model(const Config& config, Maker& maker)
      : CausalLm(config, maker, config.get<bool>("tie_word_embeddings", true)),
        embedding_factor(config.get<double>("embedding_multiplier")),
        logits_divisor(config.get<double>("logits_scaling")) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * embedding_factor, step);
  }
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h) / logits_divisor; }
  std::vector<LayerCache> make_cache() const {
    std::vector<LayerCache> caches;
    for (const Block& block : model.layers) caches.push_back(cache_of(block.mamba.has_value()));
    return caches;
  }
};

// The plain layer is published under the name of the one beside experts.
void split_shared_mlp(nn::Parameters& weights, const std::string& layer) {
  const auto fused = weights.find(layer + ".shared_mlp.input_linear.weight");
  if (fused == weights.end()) return;
  auto [gate, up] = split(fused->second, fused->second.shape()[0] / 2);
  weights.erase(fused);
  weights.insert_or_assign(layer + ".mlp.gate_proj.weight", std::move(gate));
  weights.insert_or_assign(layer + ".mlp.up_proj.weight", std::move(up));
  rename_one(weights, layer + ".shared_mlp.output_linear.weight", layer + ".mlp.down_proj.weight");
}

void sanitize(nn::Parameters& weights, const Config& config) {
  take_published_convs(weights);
  drop_tied_head(weights, config.get<bool>("tie_word_embeddings", true));
  for (std::size_t number = 0; number < layer_count(config); ++number) {
    const std::string layer = fmt::format("model.layers.{}", number);
    if (!has_experts(config)) {
      split_shared_mlp(weights, layer);
      continue;
    }
    const std::string experts = layer + ".block_sparse_moe.";
    split_gated_experts(weights, experts + "input_linear.weight", experts + "switch_mlp");
    rename_one(weights, experts + "output_linear.weight", experts + "switch_mlp.down_proj.weight");
  }
}

}  // namespace

const Family kFamily{"granitemoehybrid", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::granitemoehybrid
