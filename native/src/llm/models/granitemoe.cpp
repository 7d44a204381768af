// Granite of many experts. mlx-lm: models/granitemoe.py
#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::granitemoe {
namespace {

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.head_dim = options.dims / options.heads;
  options.bias = config.get<bool>("attention_bias");
  options.scale = config.get<double>("attention_multiplier");
  RopeSettings rope = rope_settings(config, options.head_dim);
  rope.traditional = false;
  return {options, Rope(rope), maker};
}

struct Router {
  nn::Linear layer;
  MLXNX_MEMBERS(layer)
};

struct Experts {
  SwitchGlu switch_mlp;
  Router router;
  MLXNX_MEMBERS(switch_mlp, router)
  std::int64_t count;

  Experts(const Config& config, Maker& maker)
      : switch_mlp(hidden_size(config), size_in(config, "intermediate_size"),
                   size_in(config, "num_local_experts"), maker),
        router{maker.linear(hidden_size(config), size_in(config, "num_local_experts"), false)},
        count(config.get<std::int64_t>("num_experts_per_tok")) {
    check({.experts = size_in(config, "num_local_experts"), .count = count});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_largest(as_type(router.layer(x), DType::f32), count);
    return mixed(switch_mlp(x, routed.experts), routed.scores);
  }
};

struct Block : PreNormBlock<Attention, Experts> {
  static constexpr const char* member_names() {
    return "self_attn, block_sparse_moe, input_layernorm, post_attention_layernorm";
  }
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Experts(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker), config.get<double>("residual_multiplier")} {}
};

struct Model : CausalLm<Block> {
  double embedding, scaling;

  Model(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, is_tied(config, true)),
        embedding(config.get<double>("embedding_multiplier")),
        scaling(config.get<double>("logits_scaling")) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return model.run(model.embed_tokens(tokens) * embedding, step);
  }
  Tensor logits(const Tensor& h) const { return CausalLm::logits(h) / scaling; }
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_tied_head(weights, is_tied(config, true));
  for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
    const std::string block = fmt::format("model.layers.{}.block_sparse_moe.", layer);
    split_gated_experts(weights, block + "input_linear.weight", block + "switch_mlp");
    rename_one(weights, block + "output_linear.weight", block + "switch_mlp.down_proj.weight");
  }
}

}  // namespace

const Family kFamily{"granitemoe", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::granitemoe
