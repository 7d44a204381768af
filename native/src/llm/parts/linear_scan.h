// The plainest recurrence, element by element.
#pragma once

#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// s becomes factor s + added token by token: all states, and the last one.
/// Shapes: `factors` and `added` `[batch, length, …]`, `state` `[batch, …]`.
struct Scanned {
  Tensor states, last;
};
Scanned linear_scan(const Tensor& factors, const Tensor& added, const Tensor& state);

}  // namespace mlxnx::llm
