// Klear. mlx-lm: models/Klear.py
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::klear {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("attention_bias");
  options.norm_eps = norm_eps(config);
  return {options, Rope({.dims = options.head_dim, .base = config.get<double>("rope_theta")}),
          maker};
}

struct Experts {
  nn::Linear gate;
  SwitchGlu experts;
  GatedMlp shared_experts;
  nn::Linear coefficient;
  Tensor expert_bias;
  MLXNX_MEMBERS(gate, experts, shared_experts, coefficient, expert_bias)
  RoutingOptions routing;

  Experts(const Config& config, std::int64_t dims, std::int64_t count, Maker& maker)
      : gate(maker.linear(dims, count, false)),
        experts(dims, size_in(config, "moe_intermediate_size"), count, maker),
        shared_experts(
            dims, size_in(config, "moe_intermediate_size") * size_in(config, "n_shared_experts"),
            false, maker),
        coefficient(maker.linear(dims, 2, true)),
        expert_bias(maker.tensor({count})),
        routing{.experts = count,
                .count = size_in(config, "num_experts_per_tok"),
                .is_sigmoid = true,
                .normalized = config.get<bool>("norm_topk_prob")} {
    check(routing);
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_scores(gate(x), routing, expert_bias);
    const Tensor y = mixed(experts(x, routed.experts), as_type(routed.scores, x.dtype()));
    const auto [own, shared] =
        split(fast::softmax(coefficient(x), {.axes = Axes{-1}}), 1, {.axis = -1});
    return y * own + shared_experts(x) * shared;
  }
};

using Mlp = std::variant<GatedMlp, Experts>;

Mlp feed_forward(const Config& config, std::int64_t layer, Maker& maker) {
  const auto dense = config.get<std::vector<std::int64_t>>("mlp_only_layers");
  const auto count = config.get<std::int64_t>("num_experts");
  if (std::ranges::find(dense, layer) != dense.end() || count <= 0 ||
      (layer + 1) % size_in(config, "decoder_sparse_step") != 0)
    return gated_mlp(config, maker);
  return Experts(config, hidden_size(config), count, maker);
}

struct Block : PreNormBlock<Attention, Mlp> {
  Block(const Config& config, std::size_t layer, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     feed_forward(config, static_cast<std::int64_t>(layer), maker),
                     rms_norm(config, maker), rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, false) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  stack_layers_of_experts(weights, layer_count(config), "mlp",
                          config.get<std::int64_t>("num_experts"), {}, "experts");
}

}  // namespace

const Family kFamily{"Klear", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::klear
