#include "program/marks.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "program/renumbering.h"

namespace mlxnx::program {
namespace {

// Whether any output of the instruction is in the set.
bool any_output(const Instruction& instruction, const std::vector<bool>& set) {
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
    if (set[instruction.first + i]) return true;
  }
  return false;
}

// For each instruction whether it stays: what nobody read before does, such as a hook, and what
// somebody other than a mark reads.
std::vector<bool> find_kept(const Region& region) {
  std::vector<bool> is_read(region.value_count(), false);
  for (const Instruction& instruction : region.instructions) {
    for (const ValueId id : instruction.operands) is_read[id] = true;
  }
  std::vector<bool> is_needed(is_read.size(), false);
  for (const ValueId id : region.outputs) is_read[id] = is_needed[id] = true;
  std::vector<bool> kept(region.instructions.size(), false);
  for (std::size_t i = kept.size(); i-- > 0;) {
    const Instruction& instruction = region.instructions[i];
    if (is_mark(instruction)) {
      for (std::size_t k = 0; k < instruction.outputs.size(); ++k) {
        if (is_needed[instruction.first + k]) is_needed[instruction.operands[k]] = true;
      }
      continue;
    }
    kept[i] = any_output(instruction, is_needed) || !any_output(instruction, is_read);
    if (!kept[i]) continue;
    for (const ValueId id : instruction.operands) is_needed[id] = true;
  }
  return kept;
}

}  // namespace

bool is_mark(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kStopGradient ||
         instruction.kind == InstructionKind::kCustomVjp;
}

bool holds_marks(const Region& region) {
  return std::any_of(region.instructions.begin(), region.instructions.end(),
                     [](const Instruction& instruction) {
                       return is_mark(instruction) ||
                              std::any_of(instruction.regions.begin(), instruction.regions.end(),
                                          [](const auto& nested) { return holds_marks(*nested); });
                     });
}

namespace {

using RegionPtr = std::shared_ptr<const Region>;
// Regions that several instructions share stay one.
using Known = std::unordered_map<const Region*, RegionPtr>;

RegionPtr without_marks(const RegionPtr& region, Known& known) {
  if (const auto done = known.find(region.get()); done != known.end()) return done->second;
  if (!holds_marks(*region)) return known[region.get()] = region;
  const std::vector<bool> kept = find_kept(*region);
  Renumbering result(*region);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const Instruction& instruction = region->instructions[i];
    if (is_mark(instruction)) {
      for (std::size_t k = 0; k < instruction.outputs.size(); ++k)
        result.replace(instruction.first + static_cast<ValueId>(k), instruction.operands[k]);
      continue;
    }
    if (!kept[i]) continue;
    Instruction copy = instruction;
    for (auto& nested : copy.regions) nested = without_marks(nested, known);
    result.add(std::move(copy));
  }
  return known[region.get()] = result.finish();
}

}  // namespace

std::shared_ptr<const Region> without_marks(std::shared_ptr<const Region> region) {
  Known known;
  return without_marks(region, known);
}

}  // namespace mlxnx::program
