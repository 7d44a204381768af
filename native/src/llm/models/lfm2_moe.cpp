// LFM 2 with experts. mlx-lm: models/lfm2_moe.py
#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/parts/short_conv.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::lfm2_moe {
namespace {

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  std::optional<Tensor> expert_bias;
  MLXNX_MEMBERS(gate, switch_mlp, expert_bias)
  RoutingOptions routing;

  Experts(const Config& config, Maker& maker)
      : gate(maker.linear(hidden_size(config), size_in(config, "num_experts"), false)),
        switch_mlp(hidden_size(config), size_in(config, "moe_intermediate_size"),
                   size_in(config, "num_experts"), maker),
        routing{.experts = size_in(config, "num_experts"),
                .count = size_in(config, "num_experts_per_tok"),
                .is_sigmoid = true,
                .normalized = config.get<bool>("norm_topk_prob"),
                .least_sum = 1e-6,
                .scale = config.get<double>("routed_scaling_factor", 1.0)} {
    check(routing);
    if (config.get<bool>("use_expert_bias")) expert_bias = maker.tensor({routing.experts});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(gate(x), routing, expert_bias);
    return mixed(switch_mlp(x, routed.experts), as_type(routed.scores, x.dtype()));
  }
};

bool has_experts(const Config& config, std::size_t layer) {
  return static_cast<std::int64_t>(layer) >= config.get<std::int64_t>("num_dense_layers");
}

struct Parts : ShortConvLayer {
  using ShortConvLayer::ShortConvLayer;
  std::optional<GatedMlp> mlp;
  std::optional<Experts> experts;
  MLXNX_MEMBERS(self_attn, conv, operator_norm, ffn_norm, mlp, experts)
};

struct Block : Parts {
  static constexpr const char* member_names() {
    return "self_attn, conv, operator_norm, ffn_norm, feed_forward, feed_forward";
  }

  Block(const Config& config, std::size_t layer, Maker& maker) : Parts(config, layer, maker) {
    if (has_experts(config, layer)) {
      experts.emplace(config, maker);
    } else {
      mlp.emplace(hidden_size(config), size_in(config, "intermediate_size"), false, maker);
    }
  }

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = mixed(x, step, layer);
    const Tensor normed = ffn_norm(h);
    return h + (mlp ? (*mlp)(normed) : (*experts)(normed));
  }
};

struct Model : CausalLm<Block, ShortConvDecoder<Block>> {
  Model(const Config& config, Maker& maker)
      : CausalLm(with_norm_eps(config, "norm_eps"), maker, true) {}
  std::vector<LayerCache> make_cache() const { return model.make_cache(); }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  take_published_convs(weights, "conv.weight");
  drop_tied_head(weights, true);
  rename(weights, [](std::string_view name) {
    std::string result = replaced(name, "w1.weight", "gate_proj.weight");
    result = replaced(result, "w2.weight", "down_proj.weight");
    return replaced(result, "w3.weight", "up_proj.weight");
  });
  stack_layers_of_experts(weights, layer_count(config), "feed_forward",
                          config.get<std::int64_t>("num_experts", 0));
}

}  // namespace

const Family kFamily{"lfm2_moe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::lfm2_moe
