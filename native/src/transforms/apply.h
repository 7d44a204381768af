// One instruction differentiated, in either direction. Called while a trace is under way, which
// records what they do.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "program/trace.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {

using RegionPtr = std::shared_ptr<const program::Region>;

/// Records the instruction with other operands. Returns: its outputs.
std::vector<Tensor> emit(const program::Instruction& instruction, std::span<const Tensor> operands);

/// Records the region's instructions. Returns: all its values, the inputs among them.
std::vector<Tensor> emit(const program::Region& region, std::vector<Tensor> inputs);

/// What `function` does with tensors of these types, as a region; it takes nothing from elsewhere.
RegionPtr region_of(std::span<const TensorType> inputs, const program::Trace::Function& function);
program::Region region_of(std::span<const program::Input> inputs,
                          const program::Trace::Function& function);

/// The types of tensors.
std::vector<TensorType> types_of(std::span<const Tensor> tensors);

struct Duals {
  std::vector<Tensor> values;
  Linears tangents;
};

/// Records the instruction, and the tangents of its outputs from those of its operands.
/// Throws: UnsupportedError where the op has no derivative.
Duals push_through(const program::Instruction& instruction, std::span<const Tensor> operands,
                   std::span<const Linear> tangents);

/// The cotangents of those operands that `wanted` names, from those of the outputs.
/// Throws: as above.
Linears cotangents_of(const Application& call, std::span<const Linear> cotangents,
                      const std::vector<bool>& wanted);

/// What the instruction does with operands of these types, made of other ops.
/// Throws: UnsupportedError where its rule does not tell.
RegionPtr composed(const program::Instruction& instruction, std::span<const TensorType> operands);

/// Whether outputs of the instruction can have a tangent at all, its first operand, if it has one,
/// being of the type.
bool passes_tangents(const program::Instruction& instruction, DType first);

}  // namespace mlxnx::transforms
