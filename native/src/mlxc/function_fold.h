// Folds with a function of one's own, (element, accumulator) -> accumulator, that is made of
// functions of single elements: one kernel that goes through all elements, on the CPU.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/elementwise.h"
#include "mlxc/array.h"
#include "mlxc/graph.h"

namespace mlxnx::mlxc {

/// The function as a plan that answers one result.
struct FoldFunction {
  std::shared_ptr<const kernels::TilePlan> plan;
  std::vector<Array> captures;  ///< single elements
  std::vector<int> inputs;      ///< of the plan: 0 the element, 1 the accumulator, then captures
};

/// The function that made `result` of `element` and `accumulator`, scalars that stand for those of
/// a fold, and of `captures`. The graph between them is nobody else's. Returns: nothing where it is
/// more than kernels of single elements. Implemented in mlx_hooks.
std::optional<FoldFunction> fold_function(const Array& result, const Array& element,
                                          const Array& accumulator,
                                          std::span<const Array> captures);

/// For each position of `shape` the fold of `steps` elements, from the scalar `initial` on.
/// `elements` holds those of the first step at all positions, then those of the second, and so on.
Array folded(const FoldFunction& function, const Array& elements, const Array& initial,
             const Ints& shape, std::int64_t steps);

}  // namespace mlxnx::mlxc
