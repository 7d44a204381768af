// Changes of tensors that nobody else has, in their memory.
#pragma once

#include "mlxnx/tensor.h"

namespace mlxnx::tensors {

/// What `put_slice(tensor, starts, slice)` answers, in the memory of `tensor`, where this can't be
/// told from a new tensor and takes no graph: on the CPU, when both are there, have one type, and
/// `tensor` is the only one of its elements. The slice lies inside.
/// Returns: whether it did; otherwise nothing has changed.
bool put_in_place(Tensor& tensor, const Shape& starts, const Tensor& slice);

}  // namespace mlxnx::tensors
