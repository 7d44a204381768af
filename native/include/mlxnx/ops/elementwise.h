// Ops that work element by element. Two operands broadcast: shapes are aligned at the last axis,
// and 1 stretches.
#pragma once

#include "mlxnx/tensor.h"

namespace mlxnx {

/// Cosine of each element, in radians.
/// Types: integers become f32. Nx: Nx.cos
Tensor cos(const Tensor& tensor);

/// Exponential of each element.
/// Types: integers become f32. Nx: Nx.exp
Tensor exp(const Tensor& tensor);

/// Logistic function, 1 / (1 + exp(-x)), of each element.
/// Types: integers become f32. Nx: Nx.sigmoid
Tensor sigmoid(const Tensor& tensor);

/// Sum, element by element; integers wrap.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.add
///
///     add(tensor({1.0, 2.0, 3.0}), tensor({4.0, 5.0, 6.0}));  // f32[3] [5.0, 7.0, 9.0]
Tensor add(const Tensor& left, const Tensor& right);

}  // namespace mlxnx
