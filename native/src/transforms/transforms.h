// Function transforms on regions: functions of tensors become functions of tensors. Read next:
// interpret.h for how, rules.h for what each op answers.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "program/ir.h"

namespace mlxnx::transforms {

using RegionPtr = std::shared_ptr<const program::Region>;

/// (inputs…) -> (outputs…, gradients of the first output by the inputs at `wrt`). An output that is
/// not a scalar is summed. Gradients have the types of `program::cotangent_type`.
/// Throws: ArgumentError for a position without an input; UnsupportedError where an op that the
/// output depends on has no derivative.
RegionPtr value_and_grad(const program::Region& function, std::span<const std::size_t> wrt);

/// (inputs…, cotangents of all outputs…) -> (outputs…, cotangents of the inputs at `wrt`).
RegionPtr vjp(const program::Region& function, std::span<const std::size_t> wrt);

/// (inputs…, tangents of the inputs at `wrt`…) -> (outputs…, tangents of the outputs).
RegionPtr jvp(const program::Region& function, std::span<const std::size_t> wrt);

}  // namespace mlxnx::transforms
