// LongCat-Flash. mlx-lm: models/longcat_flash.py
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mla.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::longcat_flash {
namespace {

// The settings under the names that other families have.
Config renamed(Config config) {
  config.set_from("num_hidden_layers", config, "num_layers");
  return config;
}

LatentOptions latent(const Config& config) {
  LatentOptions options = latent_options(config);
  options.eps = 1e-5;
  const auto root = [&](std::int64_t rank) {
    return std::sqrt(static_cast<double>(options.dims) / static_cast<double>(rank));
  };
  // mlx-lm has no model whose scales are left out.
  for (const char* key : {"mla_scale_q_lora", "mla_scale_kv_lora"}) {
    if (!config.get<bool>(key))
      throw UnsupportedError(fmt::format("[load] {} is false, and only true is known", key));
  }
  if (options.query_rank == 0)
    throw UnsupportedError("[load] q_lora_rank is absent, and mla_scale_q_lora asks for one");
  options.query_factor = root(options.query_rank);
  options.latent_factor = root(options.rank);
  return options;
}

LatentAttention attention(const Config& config, Maker& maker) {
  const LatentOptions options = latent(config);
  RopeSettings rope = rope_settings(config, options.rope_dims);
  rope.traditional = true;
  return {options, Rope(rope), maker};
}

struct Router {
  nn::Linear classifier;
  Tensor e_score_correction_bias;
  MLXNX_MEMBERS(classifier, e_score_correction_bias)
};

// Some of the experts that are chosen from answer what they get.
struct Experts {
  SwitchGlu switch_mlp;
  Router router;
  MLXNX_MEMBERS(switch_mlp, router)
  RoutingOptions routing;
  std::int64_t real;

  Experts(const Config& config, std::int64_t dims, Maker& maker)
      : switch_mlp(dims, size_in(config, "expert_ffn_hidden_size"),
                   size_in(config, "n_routed_experts"), maker),
        router{maker.linear(dims, total(config), config.get<bool>("router_bias", false)),
               maker.tensor({total(config)})},
        routing{.experts = total(config),
                .count = size_in(config, "moe_topk"),
                .normalized = config.get<bool>("norm_topk_prob", false),
                .least_sum = 1e-20,
                .scale = config.get<double>("routed_scaling_factor")},
        real(size_in(config, "n_routed_experts")) {
    check(routing);
    if (const auto kind = config.get<std::string>("zero_expert_type"); kind != "identity") {
      throw UnsupportedError(
          fmt::format("[load] zero_expert_type is {:?}, and \"identity\" is known", kind));
    }
  }
  static std::int64_t total(const Config& config) {
    const auto others = config.get<std::int64_t>("zero_expert_num");
    if (others < 0) throw FormatError(fmt::format("[load] zero_expert_num is {}", others));
    return size_in(config, "n_routed_experts") + others;
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed =
        route_by_scores(router.classifier(x), routing, router.e_score_correction_bias);
    const Tensor scores = as_type(routed.scores, x.dtype());
    const Tensor is_real = routed.experts < real,
                 none = constant(0.0, scores.dtype(), scores.shape());
    const Tensor numbers =
        select(is_real, routed.experts,
               constant(std::int64_t{0}, routed.experts.dtype(), routed.experts.shape()));
    const Tensor rest = sum(select(is_real, none, scores), {.axes = Axes{-1}, .keep_axes = true});
    return mixed(switch_mlp(x, numbers), select(is_real, scores, none)) + x * rest;
  }
};

// Two attentions and MLPs one after the other; the experts get what the first MLP gets, and are
// added at the end.
struct Block {
  Experts mlp;
  std::vector<LatentAttention> self_attn;
  std::vector<GatedMlp> mlps;
  std::vector<Norm> input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(mlp, self_attn, mlps, input_layernorm, post_attention_layernorm)

  Block(const Config& config, std::size_t, Maker& maker)
      : mlp(config, hidden_size(config), maker),
        self_attn(2, attention(config, maker)),
        mlps(2, GatedMlp(hidden_size(config), size_in(config, "ffn_hidden_size"), false, maker)),
        input_layernorm(2, rms_norm(config, maker)),
        post_attention_layernorm(2, rms_norm(config, maker)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    Tensor h = x + self_attn[0](input_layernorm[0](x), step, 2 * layer);
    Tensor normed = post_attention_layernorm[0](h);
    const Tensor shortcut = mlp(normed);
    h = h + mlps[0](normed);
    h = h + self_attn[1](input_layernorm[1](h), step, 2 * layer + 1);
    normed = post_attention_layernorm[1](h);
    return h + mlps[1](normed) + shortcut;
  }
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(renamed(config), maker, false) {}
  std::vector<LayerCache> make_cache() const { return full_caches(2 * model.layers.size()); }
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = renamed(given);
  const std::size_t layers = layer_count(config);
  stack_layers_of_experts(weights, layers, "mlp", size_in(config, "n_routed_experts"));
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (const int i : {0, 1}) {
      split_latent_matrix(weights, fmt::format("model.layers.{}.self_attn.{}", layer, i),
                          latent(config));
    }
  }
  drop(weights, [](std::string_view name) { return name.starts_with("model.mtp"); });
}

}  // namespace

const Family kFamily{"longcat_flash", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::longcat_flash
