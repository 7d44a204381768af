// Function transforms on regions: functions of tensors become functions of tensors. Read next:
// interpret.h for how, rules.h for what each op answers.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "program/ir.h"

namespace mlxnx::transforms {

using RegionPtr = std::shared_ptr<const program::Region>;

/// (inputs…) -> (outputs…, gradients of the first output by the inputs at `wrt`). An output that is
/// not a scalar is summed. Gradients have the types of `program::cotangent_type`.
/// Throws: ArgumentError for a position without an input; UnsupportedError where an op that the
/// output depends on has no derivative.
RegionPtr value_and_grad(const program::Region& function, std::span<const std::size_t> wrt,
                         Tape tape = Tape::kAll);

/// (inputs…, cotangents of all outputs…) -> (outputs…, cotangents of the inputs at `wrt`).
RegionPtr vjp(const program::Region& function, std::span<const std::size_t> wrt,
              Tape tape = Tape::kAll);

/// (inputs…, tangents of the inputs at `wrt`…) -> (outputs…, tangents of the outputs).
RegionPtr jvp(const program::Region& function, std::span<const std::size_t> wrt);

/// For each input an axis over which the function is mapped, or none where all examples share it:
/// (inputs with these axes…) -> (outputs, which have the axis of examples at `out_axes`).
/// `out_axes` has an axis for each output, or is empty: then all have it in front. Negative axes
/// count from the end. Throws: ArgumentError for axes that there are not, for lists of another
/// length, and for less than one example.
RegionPtr vmap(const program::Region& function,
               std::span<const std::optional<std::int64_t>> in_axes, std::int64_t size,
               std::span<const std::int64_t> out_axes = {});

}  // namespace mlxnx::transforms
