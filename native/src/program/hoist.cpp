#include "program/hoist.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "mlxnx/shape.h"
#include "program/renumbering.h"

namespace mlxnx::program {
namespace {

constexpr std::int64_t kFewElements = 32;
constexpr std::int64_t kMostElements = std::int64_t{1} << 24;  // of all that is taken out of a loop

std::int64_t elements_of(const Instruction& instruction) {
  return element_count(instruction.outputs.front().shape);
}

// What neither raises nor tells anybody, and answers the same every time.
bool is_plain(const Instruction& instruction) {
  if (instruction.kind == InstructionKind::kConstant) return true;
  if (instruction.kind != InstructionKind::kOp || !instruction.regions.empty()) return false;
  if (instruction.outputs.size() != 1) return false;
  switch (instruction.op->group) {
    case ops::Group::kCreation:
    case ops::Group::kUnary:
    case ops::Group::kBinary:
    case ops::Group::kShape:
      return true;
    default:
      return false;
  }
}

bool is_arithmetic(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp &&
         (instruction.op->group == ops::Group::kUnary ||
          instruction.op->group == ops::Group::kBinary) &&
         elements_of(instruction) >= kFewElements;
}

// The body of a loop: which instructions stay in it, and which values come from before it.
struct Split {
  std::vector<bool> stays;       // by instruction
  std::vector<ValueId> outside;  // values that what stays reads
};

Split split(const Region& body) {
  const std::size_t count = body.instructions.size();
  std::vector<bool> is_stable(body.value_count(), false), has_work(body.value_count(), false);
  for (ValueId id = 0; id < body.inputs.size(); ++id)
    is_stable[id] = id >= body.outputs.size() || body.outputs[id] == id;
  std::vector<bool> stable(count, false);
  for (std::size_t i = 0; i < count; ++i) {
    const Instruction& instruction = body.instructions[i];
    const auto& operands = instruction.operands;
    stable[i] = is_plain(instruction) &&
                std::ranges::all_of(operands, [&](ValueId id) { return is_stable[id]; });
    if (!stable[i]) continue;
    is_stable[instruction.first] = true;
    has_work[instruction.first] =
        is_arithmetic(instruction) ||
        std::ranges::any_of(operands, [&](ValueId id) { return has_work[id]; });
  }

  Split result{.stays = std::vector<bool>(count, false), .outside = {}};
  std::vector<bool> is_read(body.value_count(), false);
  for (const ValueId id : body.outputs) is_read[id] = true;
  std::int64_t room = kMostElements;
  for (std::size_t i = count; i-- > 0;) {
    const Instruction& instruction = body.instructions[i];
    const ValueId value = instruction.first;
    if (stable[i]) {
      if (!is_read[value]) continue;
      const std::int64_t elements = elements_of(instruction);
      if (has_work[value] && elements >= kFewElements && elements <= room) {
        room -= elements;
        result.outside.push_back(value);
        continue;
      }
    }
    result.stays[i] = true;
    for (const ValueId id : instruction.operands) is_read[id] = true;
  }
  return result;
}

// The loop in the region that is being made, with what goes before it.
void add_loop(const Instruction& loop, const Split& parts, Renumbering& result) {
  const Region& body = *loop.regions[1];
  std::map<ValueId, ValueId> places;  // of the body's values out there
  for (ValueId id = 0; id < body.inputs.size(); ++id) places[id] = result[loop.operands[id]];
  std::vector<bool> is_needed(body.value_count(), false);
  for (const ValueId id : parts.outside) is_needed[id] = true;
  for (auto it = body.instructions.rbegin(); it != body.instructions.rend(); ++it) {
    if (!it->outputs.empty() && is_needed[it->first])
      for (const ValueId id : it->operands) is_needed[id] = true;
  }
  for (const Instruction& instruction : body.instructions) {
    if (instruction.outputs.empty() || !is_needed[instruction.first]) continue;
    Instruction copy = instruction;
    for (ValueId& id : copy.operands) id = places.at(id);
    places[instruction.first] = result.add_new(std::move(copy));
  }

  std::vector<Input> more;
  Instruction changed = loop;
  for (ValueId& id : changed.operands) id = result[id];
  const std::vector<TensorType> types = body.value_types();
  for (const ValueId id : parts.outside) {
    more.push_back({"", types[id]});
    changed.operands.push_back(places.at(id));
  }
  const Region& condition = *loop.regions[0];
  Renumbering asked(condition, more);
  for (const Instruction& instruction : condition.instructions) asked.add(instruction);
  Renumbering inner(body, more);
  for (std::size_t i = 0; i < more.size(); ++i)
    inner.place(parts.outside[i], static_cast<ValueId>(body.inputs.size() + i));
  for (std::size_t i = 0; i < body.instructions.size(); ++i)
    if (parts.stays[i]) inner.add(body.instructions[i]);
  changed.regions = {asked.finish(), inner.finish()};
  const ValueId first = result.add_new(std::move(changed));
  for (std::size_t i = 0; i < loop.outputs.size(); ++i)
    result.place(loop.first + static_cast<ValueId>(i), first + static_cast<ValueId>(i));
}

}  // namespace

std::shared_ptr<const Region> hoisted(std::shared_ptr<const Region> region) {
  std::map<std::size_t, Split> loops;
  for (std::size_t i = 0; i < region->instructions.size(); ++i) {
    const Instruction& instruction = region->instructions[i];
    if (instruction.kind != InstructionKind::kWhile) continue;
    Split parts = split(*instruction.regions[1]);
    if (!parts.outside.empty()) loops.emplace(i, std::move(parts));
  }
  if (loops.empty()) return region;
  Renumbering result(*region);
  for (std::size_t i = 0; i < region->instructions.size(); ++i) {
    const auto loop = loops.find(i);
    if (loop == loops.end()) {
      result.add(region->instructions[i]);
    } else {
      add_loop(region->instructions[i], loop->second, result);
    }
  }
  return result.finish();
}

}  // namespace mlxnx::program
