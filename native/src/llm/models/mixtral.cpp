// Mixtral. mlx-lm: models/mixtral.py
#include <cstdint>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::mixtral {
namespace {

std::int64_t expert_count(const Config& config) {
  return config.get<std::int64_t>("num_local_experts", 8);
}

struct Experts {
  nn::Linear gate;
  SwitchGlu switch_mlp;
  MLXNX_MEMBERS(gate, switch_mlp)
  std::int64_t count;

  Experts(const Config& config, Maker& maker)
      : gate(maker.linear(hidden_size(config), expert_count(config), false)),
        switch_mlp(hidden_size(config), size_in(config, "intermediate_size"), expert_count(config),
                   maker),
        count(config.get<std::int64_t>("num_experts_per_tok", 2)) {
    check({.experts = expert_count(config), .count = count});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_largest(gate(x), count);
    return mixed(switch_mlp(x, routed.experts), routed.scores);
  }
};

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  return {options,
          Rope({.dims = options.head_dim,
                .base = config.get<double>("rope_theta", 1e6),
                .traditional = config.get<bool>("rope_traditional", false)}),
          maker};
}

struct Block : PreNormBlock<Attention, Experts> {
  static constexpr const char* member_names() {
    return "self_attn, block_sparse_moe, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Experts(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, is_tied(config, false));
  stack_layers_of_experts(weights, layer_count(config), "block_sparse_moe", expert_count(config),
                          {"w1", "w2", "w3"});
}

}  // namespace

const Family kFamily{"mixtral", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::mixtral
