// Linear attentions with a gate and the delta rule, as Qwen 3 Next and 3.5 have them. mlx-lm:
// models/gated_delta.py
#pragma once

#include <cstddef>
#include <cstdint>

#include "llm/maker.h"
#include "llm/parts/causal_conv.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// How much of a state a token leaves: exp(-exp(A_log) softplus(a + dt_bias)), in f32.
Tensor delta_gates(const Tensor& a, const Tensor& a_log, const Tensor& dt_bias);

/// Queries and keys of length 1, queries over the root of their size; `eps` is added to the sum of
/// squares.
Tensor unit_queries(const Tensor& x, double eps = 1e-6);
Tensor unit_keys(const Tensor& x, double eps = 1e-6);

/// The norm of each head, and silu(gate) after it, in f32.
struct GatedHeadNorm {
  Tensor weight;
  MLXNX_MEMBERS(weight)
  double eps;

  Tensor operator()(const Tensor& x, const Tensor& gate) const;
};

/// What follows the products that families make differently.
struct GatedDelta {
  CausalConv conv1d;
  Tensor dt_bias, A_log;
  GatedHeadNorm norm;
  nn::Linear out_proj;
  std::int64_t key_heads, heads, key_dim, value_dim;

  /// `linear_num_key_heads`, `linear_num_value_heads`, `linear_key_head_dim`,
  /// `linear_value_head_dim` and `linear_conv_kernel_dim` of the settings.
  /// Throws: FormatError for sizes that don't fit each other.
  GatedDelta(const Config& config, Maker& maker);
  std::int64_t keys_size() const { return key_heads * key_dim; }
  std::int64_t values_size() const { return heads * value_dim; }
  /// `qkv` `[batch, length, 2 · keys + values]`, `gate` `[batch, length, heads, value_dim]`, `a`
  /// and `b` `[batch, length, heads]`. `layer` is that of the cache: two states.
  Tensor finish(const Tensor& qkv, const Tensor& gate, const Tensor& a, const Tensor& b, Step& step,
                std::size_t layer) const;
};

}  // namespace mlxnx::llm
