#include "program/builder.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "ops/invoke.h"
#include "ops/registry.h"
#include "program/verifier.h"

namespace mlxnx::program {
namespace {

std::vector<ValueId> join(std::span<const ValueId> first, std::span<const ValueId> second) {
  std::vector<ValueId> ids(first.begin(), first.end());
  ids.insert(ids.end(), second.begin(), second.end());
  return ids;
}

}  // namespace

ValueId RegionBuilder::input(std::string name, TensorType type) {
  Region alone;
  alone.inputs.push_back({std::move(name), std::move(type)});
  verify(alone);
  const auto id = static_cast<ValueId>(types_.size());
  types_.push_back(alone.inputs.front().type);
  inputs_.push_back(std::move(alone.inputs.front()));
  input_ids_.push_back(id);
  return id;
}

ValueId RegionBuilder::constant(Tensor value) {
  Instruction instruction;
  instruction.kind = InstructionKind::kConstant;
  instruction.constant = std::move(value);
  return add(std::move(instruction), {}).front();
}

std::vector<ValueId> RegionBuilder::ops(std::string_view name, Ids operands,
                                        const ops::Attrs& attrs, std::span<const TensorType> wanted,
                                        std::shared_ptr<const Region> fun) {
  return ops(ops::op(name), operands, attrs, wanted, std::move(fun));
}

std::vector<ValueId> RegionBuilder::ops(const ops::OpDef& op, Ids operands, const ops::Attrs& attrs,
                                        std::span<const TensorType> wanted,
                                        std::shared_ptr<const Region> fun) {
  Instruction instruction;
  instruction.op = &op;
  instruction.operands.assign(operands.begin(), operands.end());
  instruction.attrs = normal_attrs(attrs, op);
  if (fun != nullptr) instruction.regions.push_back(std::move(fun));
  return add(std::move(instruction), wanted);
}

ValueId RegionBuilder::op(std::string_view name, std::initializer_list<ValueId> operands,
                          const ops::Attrs& attrs) {
  const std::vector<ValueId> ids = ops(name, Ids(operands.begin(), operands.size()), attrs);
  if (ids.size() == 1) return ids.front();
  throw ArgumentError("[" + std::string(name) + "] has " + std::to_string(ids.size()) +
                      " outputs where one was asked for");
}

std::vector<ValueId> RegionBuilder::while_loop(Ids initial, Ids captures,
                                               std::shared_ptr<const Region> condition,
                                               std::shared_ptr<const Region> body) {
  Instruction instruction;
  instruction.kind = InstructionKind::kWhile;
  instruction.operands = Operands(join(initial, captures));
  if (body != nullptr && body->outputs.size() != initial.size()) {
    throw ArgumentError("[while] the state has " + std::to_string(initial.size()) +
                        " tensors, and the body answers " + std::to_string(body->outputs.size()));
  }
  instruction.regions = {std::move(condition), std::move(body)};
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::cond(Ids predicates, Ids captures, Regions branches) {
  Instruction instruction;
  instruction.kind = InstructionKind::kCond;
  instruction.operands = Operands(join(predicates, captures));
  instruction.predicates = static_cast<std::uint32_t>(predicates.size());
  instruction.regions = std::move(branches);
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::hook(std::string callback, Ids values) {
  Instruction instruction;
  instruction.kind = InstructionKind::kHook;
  instruction.operands.assign(values.begin(), values.end());
  instruction.callback = std::move(callback);
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::runtime_call(std::string callback, Ids values,
                                                 std::span<const TensorType> outputs) {
  Instruction instruction;
  instruction.kind = InstructionKind::kRuntimeCall;
  instruction.operands.assign(values.begin(), values.end());
  instruction.callback = std::move(callback);
  instruction.outputs.assign(outputs.begin(), outputs.end());
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::stop_gradient(Ids values) {
  Instruction instruction;
  instruction.kind = InstructionKind::kStopGradient;
  instruction.operands.assign(values.begin(), values.end());
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::custom_vjp(Ids values, Ids inputs, Ids captures,
                                               std::shared_ptr<const Region> backward) {
  Instruction instruction;
  instruction.kind = InstructionKind::kCustomVjp;
  instruction.operands = Operands(join(join(values, inputs), captures));
  instruction.values = static_cast<std::uint32_t>(values.size());
  if (backward != nullptr && backward->outputs.size() != inputs.size()) {
    throw ArgumentError("[custom_vjp] there are " + std::to_string(inputs.size()) +
                        " inputs, and the gradient answers " +
                        std::to_string(backward->outputs.size()) + " cotangents");
  }
  instruction.regions = {std::move(backward)};
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::custom_vjp(Ids values, Ids inputs, std::string reason) {
  Instruction instruction;
  instruction.kind = InstructionKind::kCustomVjp;
  instruction.operands = Operands(join(values, inputs));
  instruction.values = static_cast<std::uint32_t>(values.size());
  instruction.callback = std::move(reason);
  return add(std::move(instruction), {});
}

std::vector<ValueId> RegionBuilder::add(Instruction instruction,
                                        std::span<const TensorType> wanted) {
  OutputTypes outputs = infer_outputs(instruction, types_);
  if (!wanted.empty()) {
    check_outputs(instruction, outputs, wanted);
    outputs.assign(wanted.begin(), wanted.end());
  }
  return place(std::move(instruction), outputs);
}

// The instruction with outputs of these types, whatever its rules say.
std::vector<ValueId> RegionBuilder::place(Instruction instruction,
                                          std::span<const TensorType> outputs) {
  constexpr std::size_t kMostValues = std::numeric_limits<std::int32_t>::max();
  if (types_.size() + outputs.size() > kMostValues)
    throw UnsupportedError("[program] more than 2147483647 values");
  instruction.first = static_cast<ValueId>(types_.size());
  instruction.outputs.assign(outputs.begin(), outputs.end());
  std::vector<ValueId> ids(instruction.outputs.size());
  std::iota(ids.begin(), ids.end(), instruction.first);
  types_.insert(types_.end(), instruction.outputs.begin(), instruction.outputs.end());
  instructions_.push_back(std::move(instruction));
  return ids;
}

std::vector<ValueId> RegionBuilder::append(const Instruction& instruction, Ids operands) {
  Instruction copy = instruction;
  copy.operands.assign(operands.begin(), operands.end());
  return add(std::move(copy), instruction.outputs);
}

std::vector<ValueId> RegionBuilder::append(const Region& region, Ids inputs, Ids results) {
  std::vector<bool> is_read(region.value_count(), false);
  for (const ValueId id : results) is_read.at(id) = true;
  const auto is_needed = [&](const Instruction& instruction) {
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
      if (is_read[instruction.first + i]) return true;
    }
    return has_effects(instruction);
  };
  for (auto it = region.instructions.rbegin(); it != region.instructions.rend(); ++it) {
    if (!is_needed(*it)) continue;
    for (const ValueId id : it->operands) is_read.at(id) = true;
  }
  // What was inferred there holds here, for operands of the same types.
  const bool is_known =
      std::equal(inputs.begin(), inputs.end(), region.inputs.begin(), region.inputs.end(),
                 [this](ValueId id, const Input& input) { return type(id) == input.type; });
  std::vector<ValueId> here(inputs.begin(), inputs.end());
  here.resize(region.value_count());
  for (const Instruction& instruction : region.instructions) {
    if (!is_needed(instruction)) continue;
    Instruction copy = instruction;
    for (ValueId& id : copy.operands) id = here[id];
    const std::vector<ValueId> ids = is_known ? place(std::move(copy), instruction.outputs)
                                              : add(std::move(copy), instruction.outputs);
    std::copy(ids.begin(), ids.end(), here.begin() + instruction.first);
  }
  std::vector<ValueId> answer;
  for (const ValueId id : results) answer.push_back(here[id]);
  return answer;
}

void RegionBuilder::order_inputs(Ids ids) {
  std::vector<std::size_t> places(types_.size(), inputs_.size());
  for (std::size_t i = 0; i < input_ids_.size(); ++i) places[input_ids_[i]] = i;
  std::vector<Input> inputs;
  for (const ValueId id : ids) inputs.push_back(inputs_.at(places.at(id)));
  if (inputs.size() != inputs_.size())
    throw ArgumentError("[program] an order of " + std::to_string(inputs.size()) + " inputs for " +
                        std::to_string(inputs_.size()));
  inputs_ = std::move(inputs);
  input_ids_.assign(ids.begin(), ids.end());
}

const TensorType& RegionBuilder::type(ValueId id) const {
  if (id < types_.size()) return types_[id];
  throw ArgumentError("[program] there is no value %" + std::to_string(id) + " among " +
                      std::to_string(types_.size()));
}

Region RegionBuilder::finish(Ids outputs) {
  std::vector<ValueId> renumbered(types_.size());
  ValueId next = 0;
  for (const ValueId id : input_ids_) renumbered[id] = next++;
  Region region;
  region.inputs = std::move(inputs_);
  region.instructions.reserve(instructions_.size());
  for (Instruction& made : instructions_) {
    Instruction& instruction = region.instructions.emplace_back(std::move(made));
    for (ValueId& id : instruction.operands) id = renumbered[id];
    const ValueId first = std::exchange(instruction.first, next);
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i) renumbered[first + i] = next++;
  }
  for (const ValueId id : outputs) {
    type(id);
    region.outputs.push_back(renumbered[id]);
  }
  *this = RegionBuilder();
  return region;
}

std::shared_ptr<const Region> RegionBuilder::region(Ids outputs) {
  return std::make_shared<const Region>(finish(outputs));
}

Program RegionBuilder::program(Ids outputs, std::vector<std::string> output_names) {
  Program program{finish(outputs), std::move(output_names)};
  return program;
}

}  // namespace mlxnx::program
