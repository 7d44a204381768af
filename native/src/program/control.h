// The instructions that need the host: loops, branches, callbacks.
#pragma once

#include <span>
#include <vector>

#include "program/region_plan.h"

namespace mlxnx::program {

/// Runs one instruction that is not straight; `types` are its operands'. Returns: its outputs,
/// which own their handles.
std::vector<mlxc::Array> run_control(const Instruction& instruction,
                                     std::span<const RegionPlan> regions,
                                     std::span<const mlxc::Array> operands,
                                     std::span<const TensorType> types, RunState& state);

}  // namespace mlxnx::program
