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

std::size_t Pairs::size() const {
  return moving.size() + static_cast<std::size_t>(std::count(moving.begin(), moving.end(), true));
}

std::span<const Tensor> Pairs::values(std::span<const Tensor> all) const {
  return all.first(moving.size());
}

Linears Pairs::tangents(std::span<const Tensor> all) const {
  return spread(moving, all.subspan(moving.size(), size() - moving.size()));
}

Tensors Pairs::pack(std::span<const Tensor> values, std::span<const Linear> tangents) const {
  Tensors all(values.begin(), values.end());
  for (std::size_t i = 0; i < moving.size(); ++i) {
    if (moving[i]) all.push_back(or_zeros(tangents[i], values[i].type()));
  }
  return all;
}

namespace {

std::vector<bool> through(const Region& region, std::vector<bool> on,
                          bool (*passes)(const Instruction&, DType first)) {
  const std::vector<TensorType> types = region.value_types();
  for (const Instruction& instruction : region.instructions) {
    const bool flows = std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                   [&](ValueId id) { return on[id]; }) &&
                       passes(instruction, types[instruction.operands[0]].dtype);
    on.resize(on.size() + instruction.outputs.size(), flows);
  }
  std::vector<bool> result;
  for (const ValueId id : region.outputs) result.push_back(on[id]);
  return result;
}

}  // namespace

std::vector<bool> depending(const Region& region, std::vector<bool> inputs) {
  return through(region, std::move(inputs), [](const Instruction&, DType) { return true; });
}

std::vector<bool> reached(const Region& region, std::vector<bool> inputs) {
  return through(region, std::move(inputs), passes_tangents);
}

std::vector<bool> around(const Instruction& loop, std::vector<bool> operands, Flow flow) {
  const std::size_t known = operands.size() - loop.values;
  const auto add = [&](const std::vector<bool>& flags, std::size_t first) {
    for (std::size_t i = 0; i < flags.size(); ++i)
      operands[first + i] = operands[first + i] || flags[i];
  };
  while (true) {
    const std::vector<bool> before = operands;
    const auto end = before.begin() + static_cast<std::ptrdiff_t>(known);
    add(flow(*loop.regions[1], {before.begin(), end}), 0);
    if (loop.values != 0) add(flow(*loop.regions[2], operands), known);
    if (operands == before) return operands;
  }
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
