#include "program/renumbering.h"

#include <numeric>
#include <utility>

namespace mlxnx::program {

Renumbering::Renumbering(const Region& from, std::span<const Input> more)
    : from_(from), place_(from.value_count()) {
  result_->inputs = from.inputs;
  result_->inputs.insert(result_->inputs.end(), more.begin(), more.end());
  result_->instructions.reserve(from.instructions.size());
  std::iota(place_.begin(), place_.end(), ValueId{0});
  next_ = static_cast<ValueId>(result_->inputs.size());
}

void Renumbering::add(Instruction instruction) {
  for (ValueId& id : instruction.operands) id = place_[id];
  const ValueId old = std::exchange(instruction.first, next_);
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i) place_[old + i] = next_++;
  result_->instructions.push_back(std::move(instruction));
}

ValueId Renumbering::add_new(Instruction instruction) {
  const ValueId first = instruction.first = next_;
  next_ += static_cast<ValueId>(instruction.outputs.size());
  result_->instructions.push_back(std::move(instruction));
  return first;
}

std::shared_ptr<const Region> Renumbering::finish() {
  for (const ValueId id : from_.outputs) result_->outputs.push_back(place_[id]);
  return std::move(result_);
}

}  // namespace mlxnx::program
