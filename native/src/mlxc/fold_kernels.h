// Reductions by kernels of our own, on the CPU.
#pragma once

#include "kernels/folds.h"
#include "mlxc/graph.h"

namespace mlxnx::mlxc {

/// Whether graphs being built here fold elements like those of `a` by such kernels, whose sums are
/// precise however long they are.
bool folds_by_kernels(const Array& a);

/// A node of the elements of `a` folded along `axes`. Returns: an empty Array where MLX has to do
/// it.
Array folded(kernels::Fold fold, const Array& a, const Ints& axes, bool keep_axes);

}  // namespace mlxnx::mlxc
