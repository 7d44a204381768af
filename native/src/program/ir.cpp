#include "program/ir.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::program {
namespace {

constexpr std::array<std::pair<InstructionKind, std::string_view>, 9> kKindNames = {{
    {InstructionKind::kConstant, "constant_tensor"},
    {InstructionKind::kWhile, "while"},
    {InstructionKind::kCond, "cond"},
    {InstructionKind::kHook, "hook"},
    {InstructionKind::kRuntimeCall, "runtime_call"},
    {InstructionKind::kStopGradient, "stop_gradient"},
    {InstructionKind::kCustomVjp, "custom_vjp"},
    {InstructionKind::kCheckpoint, "checkpoint"},
    {InstructionKind::kWhileReverse, "while_reverse"},
}};

constexpr std::array<std::pair<Tape, std::string_view>, 3> kTapeNames = {{
    {Tape::kAll, "all"},
    {Tape::kSqrt, "sqrt"},
    {Tape::kRecompute, "recompute"},
}};

}  // namespace

std::string_view name(InstructionKind kind) {
  for (const auto& [known, text] : kKindNames) {
    if (known == kind) return text;
  }
  return {};
}

InstructionKind kind_from_name(std::string_view text) {
  for (const auto& [kind, known] : kKindNames) {
    if (known == text) return kind;
  }
  return InstructionKind::kOp;
}

std::string_view name(Tape tape) {
  for (const auto& [known, text] : kTapeNames) {
    if (known == tape) return text;
  }
  return {};
}

Tape tape_from_name(std::string_view text) {
  for (const auto& [tape, known] : kTapeNames) {
    if (known == text) return tape;
  }
  throw ArgumentError("[while_reverse] a tape is all, sqrt or recompute, got " + std::string(text));
}

std::string_view Instruction::name() const {
  if (kind != InstructionKind::kOp) return program::name(kind);
  return op != nullptr ? op->name : std::string_view("op without a definition");
}

std::size_t Region::value_count() const {
  std::size_t count = inputs.size();
  for (const Instruction& instruction : instructions) count += instruction.outputs.size();
  return count;
}

std::vector<TensorType> Region::value_types() const {
  std::vector<TensorType> types;
  types.reserve(value_count());
  for (const Input& input : inputs) types.push_back(input.type);
  for (const Instruction& instruction : instructions)
    types.insert(types.end(), instruction.outputs.begin(), instruction.outputs.end());
  return types;
}

std::vector<TensorType> Region::output_types() const {
  const std::vector<TensorType> types = value_types();
  std::vector<TensorType> result;
  result.reserve(outputs.size());
  for (const ValueId id : outputs) result.push_back(types.at(id));
  return result;
}

TensorType cotangent_type(const TensorType& type) {
  const bool is_continuous = is_float(type.dtype) || is_complex(type.dtype);
  return is_continuous ? type : TensorType{DType::f32, type.shape};
}

Instruction checkpoint_of(std::shared_ptr<const Region> piece) {
  Instruction instruction;
  instruction.kind = InstructionKind::kCheckpoint;
  instruction.outputs = OutputTypes(piece->output_types());
  instruction.regions = {std::move(piece)};
  return instruction;
}

bool has_effects(const Instruction& instruction) {
  if (instruction.kind == InstructionKind::kHook ||
      instruction.kind == InstructionKind::kRuntimeCall)
    return true;
  // The gradient of a mark runs only where somebody differentiates.
  if (instruction.kind == InstructionKind::kCustomVjp) return false;
  return std::any_of(
      instruction.regions.begin(), instruction.regions.end(), [](const auto& nested) {
        return std::any_of(nested->instructions.begin(), nested->instructions.end(),
                           [](const Instruction& inner) { return has_effects(inner); });
      });
}

std::size_t own_operands(const Instruction& instruction) {
  const std::size_t count = instruction.operands.size();
  if (instruction.regions.empty() || instruction.regions.front() == nullptr) return count;
  const std::size_t inputs = instruction.regions.front()->inputs.size();
  constexpr std::size_t kElementAndAccumulator = 2;
  const std::size_t captures =
      inputs > kElementAndAccumulator ? inputs - kElementAndAccumulator : 0;
  return count > captures ? count - captures : 0;
}

}  // namespace mlxnx::program
