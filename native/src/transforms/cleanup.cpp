#include "transforms/cleanup.h"

#include <algorithm>
#include <bit>
#include <complex>
#include <unordered_map>

#include "program/renumbering.h"

namespace mlxnx::transforms {

using program::has_effects;
using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::ValueId;

namespace {

// Equal in every bit: 0.0 and -0.0 are two numbers.
bool is_same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}
bool is_same(const std::complex<double>& a, const std::complex<double>& b) {
  return is_same(a.real(), b.real()) && is_same(a.imag(), b.imag());
}
bool is_same(const Number& a, const Number& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&b]<typename T>(const T& value) {
        const T& other = std::get<T>(b);
        if constexpr (std::is_integral_v<T>) {
          return value == other;
        } else {
          return is_same(value, other);
        }
      },
      a);
}
bool is_same(const ops::AttrValue& a, const ops::AttrValue& b) {
  if (const auto* number = std::get_if<double>(&a))
    return std::holds_alternative<double>(b) && is_same(*number, std::get<double>(b));
  if (const auto* number = std::get_if<Number>(&a))
    return std::holds_alternative<Number>(b) && is_same(*number, std::get<Number>(b));
  if (const auto* numbers = std::get_if<std::vector<double>>(&a)) {
    const auto* const others = std::get_if<std::vector<double>>(&b);
    return others != nullptr &&
           std::equal(numbers->begin(), numbers->end(), others->begin(), others->end(),
                      [](double x, double y) { return is_same(x, y); });
  }
  return a == b;
}

bool is_same(const Instruction& a, const Instruction& b) {
  return a.op == b.op && a.outputs == b.outputs &&
         std::equal(a.attrs.entries().begin(), a.attrs.entries().end(), b.attrs.entries().begin(),
                    b.attrs.entries().end(), [](const auto& x, const auto& y) {
                      return x.first == y.first && is_same(x.second, y.second);
                    });
}

// Only ops are merged: their results depend on their operands and attributes alone.
bool can_be_merged(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp && instruction.regions.empty();
}

std::uint64_t hash_of(const Instruction& instruction, const program::Renumbering& place) {
  std::uint64_t hash = std::bit_cast<std::uintptr_t>(instruction.op);
  for (const ValueId id : instruction.operands) hash = (hash ^ place[id]) * 0x9E3779B97F4A7C15U;
  return hash;
}

std::vector<bool> find_needed(const Region& region) {
  std::vector<bool> is_needed(region.value_count(), false);
  for (const ValueId id : region.outputs) is_needed[id] = true;
  std::vector<bool> kept(region.instructions.size(), false);
  for (std::size_t i = kept.size(); i-- > 0;) {
    const Instruction& instruction = region.instructions[i];
    const auto first = is_needed.begin() + instruction.first;
    kept[i] = has_effects(instruction) ||
              std::find(first, first + static_cast<std::ptrdiff_t>(instruction.outputs.size()),
                        true) != first + static_cast<std::ptrdiff_t>(instruction.outputs.size());
    if (!kept[i]) continue;
    for (const ValueId id : instruction.operands) is_needed[id] = true;
  }
  return kept;
}

// Regions that several instructions share stay one.
using Known = std::unordered_map<const Region*, RegionPtr>;

RegionPtr cleaned_once(Region region, Known& known_regions);

RegionPtr cleaned_once(const RegionPtr& region, Known& known_regions) {
  if (const auto done = known_regions.find(region.get()); done != known_regions.end())
    return done->second;
  return known_regions[region.get()] = cleaned_once(Region(*region), known_regions);
}

RegionPtr cleaned_once(Region region, Known& known_regions) {
  const std::vector<bool> kept = find_needed(region);
  program::Renumbering result(region);
  std::unordered_multimap<std::uint64_t, std::size_t> known;  // places in the result
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    Instruction& instruction = region.instructions[i];
    if (can_be_merged(instruction)) {
      const std::uint64_t hash = hash_of(instruction, result);
      const auto [begin, end] = known.equal_range(hash);
      const auto twin = std::find_if(begin, end, [&](const auto& entry) {
        const Instruction& other = result.instructions()[entry.second];
        return is_same(instruction, other) &&
               std::equal(instruction.operands.begin(), instruction.operands.end(),
                          other.operands.begin(), other.operands.end(),
                          [&](ValueId a, ValueId b) { return result[a] == b; });
      });
      if (twin != end) {
        const Instruction& other = result.instructions()[twin->second];
        for (std::size_t k = 0; k < instruction.outputs.size(); ++k) {
          result.place(instruction.first + static_cast<ValueId>(k),
                       other.first + static_cast<ValueId>(k));
        }
        continue;
      }
      known.emplace(hash, result.instructions().size());
    }
    for (RegionPtr& nested : instruction.regions) {
      if (nested != nullptr) nested = cleaned_once(nested, known_regions);
    }
    result.add(std::move(instruction));
  }
  return result.finish();
}

RegionPtr silent_once(const RegionPtr& region, Known& known) {
  if (const auto done = known.find(region.get()); done != known.end()) return done->second;
  bool is_changed = false;
  program::Renumbering result(*region);
  for (const Instruction& instruction : region->instructions) {
    if (instruction.kind == InstructionKind::kHook) {
      for (std::size_t i = 0; i < instruction.outputs.size(); ++i)
        result.replace(instruction.first + static_cast<ValueId>(i), instruction.operands[i]);
      is_changed = true;
      continue;
    }
    Instruction copy = instruction;
    for (RegionPtr& nested : copy.regions) {
      if (nested == nullptr) continue;
      RegionPtr quiet = silent_once(nested, known);
      is_changed |= quiet != nested;
      nested = std::move(quiet);
    }
    result.add(std::move(copy));
  }
  return known[region.get()] = is_changed ? result.finish() : region;
}

}  // namespace

RegionPtr cleaned(Region region) {
  Known known;
  return cleaned_once(std::move(region), known);
}

RegionPtr silent(const RegionPtr& region) {
  Known known;
  return silent_once(region, known);
}

}  // namespace mlxnx::transforms
