// Reductions of large arrays in stages. MLX's CPU reduces a contiguous run element after element:
// slow, because each step waits for the one before, and for sums imprecise (a million times 0.1 is
// off by one percent). Adding rows of a split axis onto each other first is several times faster
// and keeps the number of serial steps, and with it the rounding error, small.
#pragma once

#include <cstdint>

#include "mlxc/graph.h"
#include "mlxnx/shape.h"

namespace mlxnx::ops {

/// One way to reduce: MLX's reduction, and the op that joins two partial results.
struct Fold {
  mlxc::Array (*reduce)(const mlxc::Array& a, const mlxc::Ints& axes, bool keep_axes);
  mlxc::Array (*combine)(const mlxc::Array& a, const mlxc::Array& b);
  /// Whether every step rounds, so that fewer serial steps are more precise.
  bool rounds;
};

/// `how` over `axes` (sorted, at least one) of `array`, which has `shape` without empty axes.
mlxc::Array fold(const mlxc::Array& array, const Shape& shape, const Axes& axes, bool keep_axes,
                 const Fold& how);

}  // namespace mlxnx::ops
