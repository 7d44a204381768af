// Orders by kernels of our own (kernel_node.h), as arrays. Operands are real and have elements.
#pragma once

#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// Elements in order along an axis, as `sort` of the ops says.
Array sort_runs(const Array& a, int axis, bool descending);

/// Their positions, of `type`, u32 or s32.
Array argsort_runs(const Array& a, int axis, bool descending, DType type);

/// Positions, s32, of the `k` largest of the last axis, from the largest on, of equals the first.
Array top_of_rows(const Array& a, int k);

}  // namespace mlxnx::mlxc
