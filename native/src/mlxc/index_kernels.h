// Elements by index with kernels of our own (kernel_node.h), as arrays. Indices outside of an axis
// count as its nearest one; nothing is without elements.
#pragma once

#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {

/// Whether `count` points of indices lie in the axes, at most eight, that have `sizes`.
bool are_inside(const void* indices, mlx_dtype type, std::int64_t count, const Shape& sizes);

/// What `task` makes of a tensor by integer indices; `shape` is the result's, whose type is the
/// tensor's.
Array pick(const IndexTask& task, const Array& a, const Array& indices, const Ints& shape);

/// Likewise with updates of the tensor's type, for each point a whole run.
Array update(const IndexTask& task, const Array& a, const Array& indices, const Array& updates);

}  // namespace mlxnx::mlxc
