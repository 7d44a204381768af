#include "program/rewrite.h"

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "program/hoist.h"
#include "program/renumbering.h"

namespace mlxnx::program {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

bool is_op(const Instruction& instruction, std::string_view name) {
  return instruction.kind == InstructionKind::kOp && instruction.op->name == name;
}

// Places that read each value, outputs of the region included.
std::vector<std::size_t> count_readers(const Region& region) {
  std::vector<std::size_t> readers(region.value_count(), 0);
  for (const Instruction& instruction : region.instructions) {
    for (const ValueId id : instruction.operands) ++readers[id];
  }
  for (const ValueId id : region.outputs) ++readers[id];
  return readers;
}

// The permutation that turns the axes of `dot(a, b)` into those of `dot(b, a)`.
Axes swapped_axes(const Instruction& dot, std::span<const TensorType> types) {
  const auto batch = static_cast<std::int64_t>(dot.attrs.get<Axes>("batch_axes1").size());
  const auto contracted = static_cast<std::int64_t>(dot.attrs.get<Axes>("contract_axes1").size());
  const auto left = static_cast<std::int64_t>(types[dot.operands[0]].shape.size());
  const auto rank = static_cast<std::int64_t>(dot.outputs.front().shape.size());
  const std::int64_t middle = left - contracted;
  Axes axes;
  for (std::int64_t i = 0; i < batch; ++i) axes.push_back(i);
  for (std::int64_t i = middle; i < rank; ++i) axes.push_back(i);
  for (std::int64_t i = batch; i < middle; ++i) axes.push_back(i);
  return axes;
}

// For each instruction: the dot that it transposes to the swapped one and that nothing else reads.
std::vector<std::size_t> swapped_dots(const Region& region) {
  const std::vector<TensorType> types = region.value_types();
  const std::vector<std::size_t> readers = count_readers(region);
  std::vector<std::size_t> maker(types.size(), kNone);
  std::vector<std::size_t> dots(region.instructions.size(), kNone);
  for (std::size_t i = 0; i < region.instructions.size(); ++i) {
    const Instruction& instruction = region.instructions[i];
    if (is_op(instruction, "dot")) maker[instruction.first] = i;
    if (!is_op(instruction, "transpose")) continue;
    const ValueId product = instruction.operands[0];
    if (maker[product] == kNone || readers[product] != 1) continue;
    const Instruction& dot = region.instructions[maker[product]];
    const Axes* axes = instruction.attrs.get_if<Axes>("axes");
    const bool keeps_type = instruction.outputs.front().dtype == dot.outputs.front().dtype;
    if (axes != nullptr && keeps_type && *axes == swapped_axes(dot, types))
      dots[i] = maker[product];
  }
  return dots;
}

Instruction swapped(const Instruction& dot, const TensorType& output) {
  const auto axes = [&dot](std::string_view name) { return dot.attrs.get<Axes>(name); };
  Instruction result = dot;
  result.operands = {dot.operands[1], dot.operands[0]};
  result.attrs = {{"contract_axes1", axes("contract_axes2")},
                  {"batch_axes1", axes("batch_axes2")},
                  {"contract_axes2", axes("contract_axes1")},
                  {"batch_axes2", axes("batch_axes1")}};
  result.outputs = {output};
  return result;
}

}  // namespace

std::shared_ptr<const Region> rewritten(std::shared_ptr<const Region> source) {
  const std::shared_ptr<const Region> region = hoisted(std::move(source));
  const std::vector<std::size_t> dots = swapped_dots(*region);
  std::vector<const TensorType*> swapped_to(dots.size(), nullptr);
  bool is_changed = false;
  for (std::size_t i = 0; i < dots.size(); ++i) {
    if (dots[i] == kNone) continue;
    swapped_to[dots[i]] = &region->instructions[i].outputs.front();
    is_changed = true;
  }
  if (!is_changed) return region;

  Renumbering result(*region);
  for (std::size_t i = 0; i < dots.size(); ++i) {
    const Instruction& instruction = region->instructions[i];
    if (dots[i] != kNone) {
      result.replace(instruction.first, instruction.operands[0]);
      continue;
    }
    result.add(swapped_to[i] != nullptr ? swapped(instruction, *swapped_to[i]) : instruction);
  }
  return result.finish();
}

}  // namespace mlxnx::program
