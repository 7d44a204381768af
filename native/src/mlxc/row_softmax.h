#pragma once

#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// The softmax of the rows of an f32 array with elements, whose sums are precise. On the CPU of
/// Linux a kernel of our own, since MLX's takes its exponentials one by one there.
Array row_softmax(const Array& a);

}  // namespace mlxnx::mlxc
