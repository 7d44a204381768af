// Arcee's Trinity. mlx-lm: models/afmoe.py
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::afmoe {
namespace {

constexpr std::string_view kDefaults = R"({
  "vocab_size": 200192, "hidden_size": 2048, "intermediate_size": 6144,
  "moe_intermediate_size": 1024, "num_hidden_layers": 32, "num_attention_heads": 32,
  "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 131072,
  "rms_norm_eps": 1e-5, "num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1,
  "num_dense_layers": 2, "route_norm": true, "route_scale": 2.826, "score_func": "sigmoid",
  "sliding_window": 2048, "mup_enabled": true})";

// What it answers is gated.
struct SelfAttention : Attention {
  nn::Linear gate_proj;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm, gate_proj)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor rows =
        AttentionCore::operator()(q_proj(x), k_proj(x), v_proj(x), step, layer, q_norm, k_norm);
    return o_proj(rows * sigmoid(gate_proj(x)));
  }
};

SelfAttention attention(const Config& config, std::size_t layer, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  std::optional<Rope> rope;
  if (layer_types(config)[layer] == "sliding_attention") {
    RopeSettings settings = rope_settings(config, options.head_dim);
    settings.traditional = false;
    rope = Rope(settings);
  }
  return {Attention(options, rope, maker),
          maker.linear(options.dims, options.heads * options.head_dim, false)};
}

struct Router {
  nn::Linear gate;
  MLXNX_MEMBERS(gate)
};

struct Experts {
  Router router;
  Tensor expert_bias;
  SwitchGlu experts;
  std::optional<GatedMlp> shared_experts;
  MLXNX_MEMBERS(router, expert_bias, experts, shared_experts)
  RoutingOptions routing;

  Tensor operator()(const Tensor& x) const {
    const Routed routed =
        route_by_scores(as_type(router.gate(x), DType::f32), routing, expert_bias);
    const Tensor y = mixed(experts(x, routed.experts), routed.scores);
    return shared_experts ? y + (*shared_experts)(x) : y;
  }
};

Experts experts(const Config& config, Maker& maker) {
  const std::int64_t dims = hidden_size(config), count = size_in(config, "num_experts");
  const std::int64_t hidden = size_in(config, "moe_intermediate_size");
  RoutingOptions routing{.experts = count,
                         .count = size_in(config, "num_experts_per_tok"),
                         .is_sigmoid = config.get<std::string>("score_func") == "sigmoid",
                         .scale = config.get<double>("route_scale"),
                         .groups = size_in(config, "n_group", 1),
                         .kept_groups = size_in(config, "topk_group", 1),
                         .per_group = 2};
  routing.normalized = routing.count > 1 && config.get<bool>("route_norm");
  check(routing);
  Experts result{.router = {maker.linear(dims, count, false)},
                 .expert_bias = maker.tensor({count}),
                 .experts = SwitchGlu(dims, hidden, count, maker),
                 .shared_experts = {},
                 .routing = routing};
  if (const auto shared = config.get<std::int64_t>("num_shared_experts"); shared > 0)
    result.shared_experts.emplace(dims, hidden * shared, false, maker);
  return result;
}

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::size_t layer, Maker& maker) {
  if (static_cast<std::int64_t>(layer) < config.get<std::int64_t>("num_dense_layers"))
    return gated_mlp(config, maker);
  return experts(config, maker);
}

struct Block : SandwichBlock<SelfAttention, Mlp> {
  static constexpr const char* member_names() {
    return "self_attn, mlp, input_layernorm, post_attention_layernorm, pre_mlp_layernorm, "
           "post_mlp_layernorm";
  }
  Block(const Config& config, std::size_t layer, Maker& maker)
      : SandwichBlock{attention(config, layer, maker), feed_forward(config, layer, maker),
                      rms_norm(config, maker),         rms_norm(config, maker),
                      rms_norm(config, maker),         rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  std::optional<double> scale;
  std::vector<LayerCache> cache;

  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    const Tensor h = model.embed_tokens(tokens);
    return model.run(scale ? h * *scale : h, step);
  }
  std::vector<LayerCache> make_cache() const { return cache; }

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, is_tied(config, false)),
        cache(caches_by_layer_types(config, model.layers.size())) {
    if (config.get<bool>("mup_enabled"))
      scale = std::sqrt(static_cast<double>(hidden_size(config)));
  }
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = with_defaults(given, kDefaults);
  drop_unused(weights, is_tied(config, false));
  stack_layers_of_experts(weights, layer_count(config), "mlp", size_in(config, "num_experts"), {},
                          "experts");
}

}  // namespace

const Family kFamily{"afmoe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::afmoe
