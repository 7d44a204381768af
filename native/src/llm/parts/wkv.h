// The recurrence of RWKV 7.
#pragma once

#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// What each token brings: `[batch, length, heads, size]` each, f32.
struct WkvInputs {
  Tensor receptance, decay, key, value, a, b;
};

struct WkvResult {
  Tensor values;  ///< `[batch, length, heads, size]`
  Tensor state;   ///< `[batch, heads, size, size]`
};

/// s becomes s · diag(decay) + (s a) bᵀ + value keyᵀ token by token, and the answer is
/// s receptance. Many tokens are computed in chunks. mlx-lm: models/rwkv7.py
WkvResult wkv(const WkvInputs& inputs, const std::optional<Tensor>& state);

}  // namespace mlxnx::llm
