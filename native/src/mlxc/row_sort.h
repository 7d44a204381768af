#pragma once

#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// The rows of an f32 array with elements in ascending order, as `sort` has them. On the CPU of
/// Linux a kernel of our own, since MLX's compares element by element.
Array row_sort(const Array& a);

}  // namespace mlxnx::mlxc
