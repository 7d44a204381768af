// Sums of floats that stay precise however many there are. MLX's CPU adds one after the other, and
// each step rounds: ten million times 0.1 would be off by a tenth. A sum is a product with ones as
// well, and the products of `mlxc/blas_products.cpp` add in pairs, on several cores.
#pragma once

#include "mlxc/graph.h"
#include "mlxnx/shape.h"

namespace mlxnx::ops {

/// The sum of f32, f64 or c64 `array`, which has `shape` without empty axes, over `axes` (sorted,
/// at least one).
mlxc::Array sum_floats(const mlxc::Array& array, const Shape& shape, const Axes& axes,
                       bool keep_axes);

}  // namespace mlxnx::ops
