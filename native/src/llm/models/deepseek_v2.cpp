// DeepSeek-V2. mlx-lm: models/deepseek_v2.py
#include <cstdint>
#include <string>
#include <variant>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::deepseek_v2 {
namespace {

UnfoldedLatentAttention attention(const Config& config, Maker& maker) {
  const LatentOptions options = latent_options(config);
  if (!config.contains("rope_scaling"))
    throw FormatError("[load] DeepSeek-V2 has rope_scaling, and the settings have none");
  Config scaling = config.get<Config>("rope_scaling");
  scaling.set("type", std::string("yarn"));  // whatever is said
  return {options,
          Rope({.dims = options.rope_dims,
                .base = config.get<double>("rope_theta", 10'000),
                .traditional = true,
                .scaling = scaling}),
          maker};
}

DeepseekMlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (!is_layer_of_experts(config, layer)) return gated_mlp(config, maker);
  RoutingOptions routing{.experts = size_in(config, "n_routed_experts"),
                         .count = size_in(config, "num_experts_per_tok"),
                         .scale = config.get<double>("routed_scaling_factor", 1.0)};
  if (config.get<std::string>("topk_method", "") == "group_limited_greedy") {
    routing.groups = size_in(config, "n_group");
    routing.kept_groups = size_in(config, "topk_group");
  }
  const std::int64_t hidden = size_in(config, "moe_intermediate_size");
  return CorrectedExperts(hidden_size(config), hidden,
                          width_of_shared(config, "n_shared_experts", hidden), false, routing,
                          maker);
}

struct Block : PreNormBlock<UnfoldedLatentAttention, DeepseekMlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker), feed_forward(config, layer, maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm<Block>(config, maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("n_routed_experts", 0));
}

}  // namespace

const Family kFamily{"deepseek_v2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::deepseek_v2
