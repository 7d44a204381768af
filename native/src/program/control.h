// The instructions that need the host, loops aside: branches and callbacks. Inside an engine's job,
// unless all there is to evaluate is computed at once (NeedsEngine); results own their handles.
#pragma once

#include <span>
#include <vector>

#include "program/region_plan.h"

namespace mlxnx::program {

/// Evaluates `arrays`. Throws: NeedsEngine.
void compute(std::span<const mlxc::Array> arrays);

/// Evaluates those of `arrays` that are not computed. Throws: NeedsEngine where there are any.
void compute_pending(std::span<const mlxc::Array> arrays);

/// A scalar's element. Evaluates it where it is not computed.
Number read_scalar(const mlxc::Array& array);

/// Whether a scalar is anything but zero; NaN is not zero. Evaluates it where it is not computed.
bool holds(const mlxc::Array& predicate);

/// The branch that the predicates choose.
std::vector<mlxc::Array> run_cond(const Instruction& instruction,
                                  std::span<const RegionPlan> branches,
                                  std::span<const mlxc::Array> operands, RunState& state);

/// Tells or asks the host; `types` are the operands'.
std::vector<mlxc::Array> run_callback(const Instruction& instruction,
                                      std::span<const mlxc::Array> operands,
                                      std::span<const TensorType> types, RunState& state);

}  // namespace mlxnx::program
