// The ways in which layers put norms, an attention and what follows it together. Families derive
// from them, make the members, and say the members' names where theirs are others.
#pragma once

#include <cstddef>
#include <optional>
#include <variant>

#include "llm/parts/norm.h"
#include "llm/step.h"
#include "mlxnx/operators.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx::llm {

/// A layer, or whichever of several kinds a variant holds, called.
template <typename Layer, typename... More>
Tensor run(const Layer& layer, const Tensor& x, More&&... more) {
  if constexpr (tree::VariantLike<Layer>) {
    return std::visit([&](const auto& held) { return held(x, more...); }, layer);
  } else {
    return layer(x, more...);
  }
}

/// Both parts get what is normed, and are added to what is not.
template <typename Attention, typename Mlp>
struct PreNormBlock {
  Attention self_attn;
  Mlp mlp;
  Norm input_layernorm, post_attention_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm)
  std::optional<double> factor = std::nullopt;  ///< of what is added

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = x + scaled(run(self_attn, input_layernorm(x), step, layer));
    return h + scaled(run(mlp, post_attention_layernorm(h)));
  }

 private:
  Tensor scaled(const Tensor& x) const { return factor ? x * *factor : x; }
};

/// What the parts answer is normed, and added to what they got.
template <typename Attention, typename Mlp>
struct PostNormBlock {
  Attention self_attn;
  Mlp mlp;
  Norm post_attention_layernorm, post_feedforward_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, post_attention_layernorm, post_feedforward_layernorm)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = x + post_attention_layernorm(self_attn(x, step, layer));
    return h + post_feedforward_layernorm(mlp(h));
  }
};

/// `x + y` that stays finite in f16.
Tensor clipped_sum(const Tensor& x, const Tensor& y);

/// Norms before and after each part.
template <typename Attention, typename Mlp>
struct SandwichBlock {
  Attention self_attn;
  Mlp mlp;
  Norm input_layernorm, post_attention_layernorm;
  Norm pre_feedforward_layernorm, post_feedforward_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm, post_attention_layernorm,
                pre_feedforward_layernorm, post_feedforward_layernorm)
  bool clips = false;  ///< sums stay finite in f16

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = sum(x, post_attention_layernorm(self_attn(input_layernorm(x), step, layer)));
    return sum(h, post_feedforward_layernorm(run(mlp, pre_feedforward_layernorm(h))));
  }

 private:
  Tensor sum(const Tensor& x, const Tensor& y) const { return clips ? clipped_sum(x, y) : x + y; }
};

/// Both parts get the same.
template <typename Attention, typename Mlp>
struct ParallelBlock {
  Attention self_attn;
  Mlp mlp;
  Norm input_layernorm;
  MLXNX_MEMBERS(self_attn, mlp, input_layernorm)

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    const Tensor h = input_layernorm(x);
    return self_attn(h, step, layer) + mlp(h) + x;
  }
};

}  // namespace mlxnx::llm
