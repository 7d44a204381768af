// MiniMax-M2. mlx-lm: models/minimax.py
#include <cstddef>
#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::minimax {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  if (config.get<bool>("use_qk_norm", true)) options.norm_eps = norm_eps(config);
  options.norms_rows = true;
  return {options,
          Rope({.dims = size_in(config, "rotary_dim"), .base = config.get<double>("rope_theta")}),
          maker};
}

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  Tensor e_score_correction_bias;
  MLXNX_MEMBERS(gate, switch_mlp, e_score_correction_bias)
  RoutingOptions routing;

  Experts(const Config& config, Maker& maker)
      : gate(maker.linear(hidden_size(config), size_in(config, "num_local_experts"), false)),
        switch_mlp(hidden_size(config), size_in(config, "intermediate_size"),
                   size_in(config, "num_local_experts"), maker),
        e_score_correction_bias(maker.tensor({size_in(config, "num_local_experts")})),
        routing{.experts = size_in(config, "num_local_experts"),
                .count = size_in(config, "num_experts_per_tok"),
                .is_sigmoid = true,
                .normalized = true,
                .least_sum = 1e-20} {
    check(routing);
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed =
        route_by_scores(gate(as_type(x, DType::f32)), routing, e_score_correction_bias);
    return mixed(switch_mlp(x, routed.experts), as_type(routed.scores, x.dtype()));
  }
};

struct Block : PreNormBlock<Attention, Experts> {
  static constexpr const char* member_names() {
    return "self_attn, block_sparse_moe, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Experts(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  stack_layers_of_experts(weights, layer_count(config), "block_sparse_moe",
                          size_in(config, "num_local_experts"), {"w1", "w2", "w3"});
}

}  // namespace

const Family kFamily{"minimax", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::minimax
