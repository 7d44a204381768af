#include "transforms/interpret.h"

#include <algorithm>

#include "transforms/algebra.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::Region;
using program::ValueId;

namespace {

// The elements of `all`, one for each value of a region, that an instruction reads.
template <typename T>
std::vector<T> operands_of(const Instruction& instruction, const std::vector<T>& all) {
  std::vector<T> result;
  result.reserve(instruction.operands.size());
  for (const ValueId id : instruction.operands) result.push_back(all[id]);
  return result;
}

template <typename T>
std::span<const T> outputs_of(const Instruction& instruction, const std::vector<T>& all) {
  return std::span<const T>(all).subspan(instruction.first, instruction.outputs.size());
}

template <typename T>
std::vector<T> results_of(const Region& region, const std::vector<T>& all) {
  std::vector<T> result;
  for (const ValueId id : region.outputs) result.push_back(all[id]);
  return result;
}

// Tensors without elements have no derivatives, so that no rule has to care for them.
bool has_derivatives(const Tensor& tensor) { return tensor.size() != 0; }

void drop_empty(std::span<const Tensor> values, std::span<Linear> tangents) {
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    if (!has_derivatives(values[i])) tangents[i].reset();
  }
}

}  // namespace

Duals push_forward(const Region& region, std::vector<Tensor> inputs, Linears tangents) {
  std::vector<Tensor> values = std::move(inputs);
  Linears all = std::move(tangents);
  drop_empty(values, all);
  values.reserve(region.value_count());
  all.reserve(region.value_count());
  for (const Instruction& instruction : region.instructions) {
    const std::vector<Tensor> operands = operands_of(instruction, values);
    const Linears moving = operands_of(instruction, all);
    const bool is_active = std::any_of(moving.begin(), moving.end(),
                                       [](const Linear& tangent) { return tangent.has_value(); });
    if (is_active && passes_tangents(instruction, operands[0].dtype())) {
      Duals duals = push_through(instruction, operands, moving);
      drop_empty(duals.values, duals.tangents);
      values.insert(values.end(), duals.values.begin(), duals.values.end());
      all.insert(all.end(), duals.tangents.begin(), duals.tangents.end());
    } else {
      const std::vector<Tensor> outputs = emit(instruction, operands);
      values.insert(values.end(), outputs.begin(), outputs.end());
      all.resize(values.size());
    }
  }
  return {results_of(region, values), results_of(region, all)};
}

Pullback::Pullback(const Region& region, std::vector<Tensor> inputs, std::vector<bool> wanted)
    : region_(region), values_(emit(region, std::move(inputs))), is_active_(std::move(wanted)) {
  is_active_.reserve(region.value_count());
  for (std::size_t i = 0; i < is_active_.size(); ++i)
    is_active_[i] = is_active_[i] && has_derivatives(values_[i]);
  for (const Instruction& instruction : region.instructions) {
    const bool is_active = std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                       [this](ValueId id) { return is_active_[id]; }) &&
                           passes_tangents(instruction, values_[instruction.operands[0]].dtype());
    for (const Tensor& output : outputs_of(instruction, values_))
      is_active_.push_back(is_active && has_derivatives(output));
  }
  outputs_ = results_of(region, values_);
}

Linears Pullback::operator()(const Linears& cotangents) const {
  Linears all(values_.size());
  for (std::size_t i = 0; i < cotangents.size(); ++i) {
    Linear& sum = all[region_.outputs[i]];
    sum = plus(sum, cotangents[i]);
  }
  for (auto it = region_.instructions.rbegin(); it != region_.instructions.rend(); ++it) {
    const Instruction& instruction = *it;
    const std::span<const Linear> of_outputs = outputs_of(instruction, all);
    const std::vector<bool> wanted = operands_of(instruction, is_active_);
    const bool is_reached = std::any_of(of_outputs.begin(), of_outputs.end(),
                                        [](const Linear& g) { return g.has_value(); });
    if (!is_reached || std::find(wanted.begin(), wanted.end(), true) == wanted.end() ||
        !passes_tangents(instruction, values_[instruction.operands[0]].dtype()))
      continue;
    const std::vector<Tensor> operands = operands_of(instruction, values_);
    const Linears of_operands = cotangents_of(
        {instruction, operands, outputs_of(instruction, values_)}, of_outputs, wanted);
    for (std::size_t i = 0; i < of_operands.size(); ++i) {
      Linear& sum = all[instruction.operands[i]];
      if (wanted[i]) sum = plus(sum, of_operands[i]);
    }
  }
  Linears result(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(region_.inputs.size()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!is_active_[i]) result[i].reset();
  }
  return result;
}

}  // namespace mlxnx::transforms
