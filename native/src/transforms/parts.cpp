#include "transforms/parts.h"

#include <algorithm>

#include "program/trace.h"
#include "transforms/algebra.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::Region;
using program::Trace;
using program::ValueId;

Tensors joined(std::span<const Tensor> first, std::span<const Tensor> second) {
  Tensors all(first.begin(), first.end());
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

std::vector<bool> is_there(std::span<const Linear> tangents) {
  std::vector<bool> result;
  for (const Linear& tangent : tangents) result.push_back(tangent.has_value());
  return result;
}

Tensor or_zeros(const Linear& tangent, const TensorType& value) {
  return tangent ? *tangent : zeros(program::cotangent_type(value));
}

std::vector<bool> reached(const Region& region, std::vector<bool> is_active) {
  for (const Instruction& instruction : region.instructions) {
    const bool reaches = passes_tangents(instruction) &&
                         std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                     [&](ValueId id) { return is_active[id]; });
    is_active.resize(is_active.size() + instruction.outputs.size(), reaches);
  }
  std::vector<bool> result;
  for (const ValueId id : region.outputs) result.push_back(is_active[id]);
  return result;
}

Tensors run_here(const Region& region, std::span<const Tensor> inputs) {
  return Trace::current()->record_program(region, inputs);
}

Linears spread(const std::vector<bool>& is_active, std::span<const Tensor> active) {
  Linears result(is_active.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < is_active.size(); ++i) {
    if (is_active[i]) result[i] = active[next++];
  }
  return result;
}

}  // namespace mlxnx::transforms
