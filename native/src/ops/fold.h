// Reductions of large arrays in stages. MLX's CPU reduces a contiguous run element after element,
// each step after the one before. Laying rows of a split axis onto each other first is several
// times faster.
#pragma once

#include <cstdint>

#include "mlxc/graph.h"
#include "mlxnx/shape.h"

namespace mlxnx::ops {

/// One way to reduce: MLX's reduction, and the op that joins two partial results.
struct Fold {
  mlxc::Array (*reduce)(const mlxc::Array& a, const mlxc::Ints& axes, bool keep_axes);
  mlxc::Array (*combine)(const mlxc::Array& a, const mlxc::Array& b);
};

/// `how` over `axes` (sorted, at least one) of `array`, which has `shape` without empty axes.
mlxc::Array fold(const mlxc::Array& array, const Shape& shape, const Axes& axes, bool keep_axes,
                 const Fold& how);

}  // namespace mlxnx::ops
