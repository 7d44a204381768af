// Apertus. mlx-lm: models/apertus.py
#include <cstddef>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::apertus {
namespace {

// A parabola at the right, something like an exponential at the left.
struct XieLu {
  Tensor alpha_p, alpha_n, beta, eps;
  MLXNX_MEMBERS(alpha_p, alpha_n, beta, eps)

  Tensor operator()(const Tensor& x) const {
    const Tensor right = nn::softplus(alpha_p) * x * x + beta * x;
    const Tensor left = (expm1(min(x, eps)) - x) * (beta + nn::softplus(alpha_n)) + beta * x;
    return select(x > 0, right, left);
  }
};

struct Mlp {
  nn::Linear up_proj, down_proj;
  XieLu act_fn;
  MLXNX_MEMBERS(up_proj, down_proj, act_fn)

  Mlp(const Config& config, Maker& maker)
      : up_proj(maker.linear(hidden_size(config), size_in(config, "intermediate_size"),
                             config.get<bool>("mlp_bias"))),
        down_proj(maker.linear(size_in(config, "intermediate_size"), hidden_size(config),
                               config.get<bool>("mlp_bias"))),
        act_fn{Tensor(0.2F), Tensor(-1.05F), Tensor(0.5F), Tensor(-1e-6F)} {}
  Tensor operator()(const Tensor& x) const { return down_proj(act_fn(up_proj(x))); }
};

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.norm_eps = norm_eps(config);
  return {options, Rope(rope_settings(config, options.head_dim)), maker};
}

struct Block : PreNormBlock<Attention, Mlp> {
  static constexpr const char* member_names() {
    return "self_attn, mlp, attention_layernorm, feedforward_layernorm";
  }

  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker), Mlp(config, maker), rms_norm(config, maker),
                     rms_norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& config, Maker& maker) : CausalLm(config, maker, is_tied(config, false)) {}
};

void sanitize(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, false));
  for (auto& [name, tensor] : weights) {
    if (name.ends_with("alpha_p") || name.ends_with("alpha_n")) tensor = squeeze(tensor);
  }
}

}  // namespace

const Family kFamily{"apertus", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::apertus
