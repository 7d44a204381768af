#include "program/host_loop.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "tensor/element.h"
#include "tensor/node.h"

namespace mlxnx::program {

namespace {

// u64 does not fit the numbers used here.
bool is_followable(const TensorType& type) {
  return type.shape.empty() && is_integer(type.dtype) && type.dtype != DType::u64;
}

std::int64_t wrap(std::int64_t value, DType type) {
  switch (type) {
    case DType::u8:
      return static_cast<std::uint8_t>(value);
    case DType::u16:
      return static_cast<std::uint16_t>(value);
    case DType::u32:
      return static_cast<std::uint32_t>(value);
    case DType::s8:
      return static_cast<std::int8_t>(value);
    case DType::s16:
      return static_cast<std::int16_t>(value);
    case DType::s32:
      return static_cast<std::int32_t>(value);
    default:
      return value;
  }
}

// For arithmetic that wraps around.
std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }

std::optional<std::int64_t> integer_of(const Number& number) {
  if (const auto* value = std::get_if<std::int64_t>(&number)) return *value;
  const auto* value = std::get_if<std::uint64_t>(&number);
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value != nullptr && *value <= kMost) return static_cast<std::int64_t>(*value);
  return std::nullopt;
}

// A constant's value, where it is an integer scalar that is known.
std::optional<std::int64_t> constant_of(const Instruction& instruction) {
  if (instruction.kind == InstructionKind::kConstant) {
    if (!instruction.constant->node().ready.load(std::memory_order_acquire)) return std::nullopt;
    return integer_of(instruction.constant->to_number());
  }
  const auto* number = instruction.attrs.get_if<Number>("value");
  return number != nullptr ? integer_of(*number) : std::nullopt;
}

}  // namespace

HostCode::Function HostCode::function_of(std::string_view op) {
  using N = std::int64_t;
#define MLXNX_ANSWER(expression)                                   \
  [](N a, [[maybe_unused]] N b, [[maybe_unused]] N c, N& result) { \
    result = static_cast<N>(expression);                           \
    return true;                                                   \
  }
#define MLXNX_ANSWER_POSITIVE(expression) \
  [](N a, N b, N, N& result) {            \
    if (a < 0 || b <= 0) return false;    \
    result = expression;                  \
    return true;                          \
  }
  static constexpr std::pair<std::string_view, Function> kFunctions[] = {
      {"abs", MLXNX_ANSWER(a < 0 ? bits(0) - bits(a) : bits(a))},
      {"add", MLXNX_ANSWER(bits(a) + bits(b))},
      {"as_type", MLXNX_ANSWER(a)},
      {"bitwise_and", MLXNX_ANSWER(a & b)},
      {"bitwise_not", MLXNX_ANSWER(~a)},
      {"bitwise_or", MLXNX_ANSWER(a | b)},
      {"bitwise_xor", MLXNX_ANSWER(a ^ b)},
      {"block:LogicalNot", MLXNX_ANSWER(a == 0)},
      {"broadcast", MLXNX_ANSWER(a)},
      {"equal", MLXNX_ANSWER(a == b)},
      {"greater", MLXNX_ANSWER(a > b)},
      {"greater_equal", MLXNX_ANSWER(a >= b)},
      {"less", MLXNX_ANSWER(a < b)},
      {"less_equal", MLXNX_ANSWER(a <= b)},
      {"logical_and", MLXNX_ANSWER(a != 0 && b != 0)},
      {"logical_or", MLXNX_ANSWER(a != 0 || b != 0)},
      {"logical_xor", MLXNX_ANSWER((a != 0) != (b != 0))},
      {"max", MLXNX_ANSWER(std::max(a, b))},
      {"min", MLXNX_ANSWER(std::min(a, b))},
      {"multiply", MLXNX_ANSWER(bits(a) * bits(b))},
      {"negate", MLXNX_ANSWER(bits(0) - bits(a))},
      {"not_equal", MLXNX_ANSWER(a != b)},
      {"quotient", MLXNX_ANSWER_POSITIVE(a / b)},
      {"remainder", MLXNX_ANSWER_POSITIVE(a % b)},
      {"reshape", MLXNX_ANSWER(a)},
      {"select", MLXNX_ANSWER(a != 0 ? b : c)},
      {"squeeze", MLXNX_ANSWER(a)},
      {"subtract", MLXNX_ANSWER(bits(a) - bits(b))},
  };
#undef MLXNX_ANSWER
#undef MLXNX_ANSWER_POSITIVE
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [op](const auto& entry) { return entry.first == op; });
  return found != std::end(kFunctions) ? found->second : nullptr;
}

bool HostCode::add(const Instruction& instruction, std::span<const TensorType> types) {
  if (instruction.outputs.size() != 1 || !is_followable(instruction.outputs.front())) return false;
  Step step{nullptr, instruction.outputs.front().dtype, instruction.first, {}, 0};
  const bool is_op = instruction.kind == InstructionKind::kOp;
  if (instruction.kind == InstructionKind::kConstant ||
      (is_op && instruction.op->name == "constant")) {
    const auto number = constant_of(instruction);
    if (!number) return false;
    step.number = wrap(*number, step.type);
  } else {
    step.function = is_op ? function_of(instruction.op->name) : nullptr;
    if (step.function == nullptr) return false;
    for (std::size_t i = 0; i < instruction.operands.size(); ++i) {
      const ValueId id = instruction.operands[i];
      if (!is_followable(types[id])) return false;
      step.operands[i] = id;
    }
  }
  steps_.push_back(step);
  return true;
}

std::optional<HostCode> HostCode::of(const Region& region, std::span<const ValueId> results) {
  const std::vector<TensorType> types = region.value_types();
  std::vector<bool> needed(types.size(), false);
  HostCode code;
  code.slots_.assign(types.size(), 0);
  for (const ValueId id : results) needed[id] = true;
  code.results_.assign(results.begin(), results.end());
  for (auto it = region.instructions.rbegin(); it != region.instructions.rend(); ++it) {
    bool is_needed = false;
    for (std::size_t i = 0; i < it->outputs.size(); ++i) is_needed |= needed[it->first + i];
    if (!is_needed) continue;
    if (!code.add(*it, types)) return std::nullopt;
    for (const ValueId id : it->operands) needed[id] = true;
  }
  std::reverse(code.steps_.begin(), code.steps_.end());
  for (ValueId id = 0; id < region.inputs.size(); ++id) {
    if (!needed[id]) continue;
    if (!is_followable(types[id])) return std::nullopt;
    code.inputs_.push_back(id);
  }
  return code;
}

bool HostCode::run(std::span<const std::int64_t> inputs, std::vector<std::int64_t>& results) {
  for (const ValueId id : inputs_) slots_[id] = inputs[id];
  for (const Step& step : steps_) {
    std::int64_t value = step.number;
    const auto& [a, b, c] = step.operands;
    if (step.function != nullptr && !step.function(slots_[a], slots_[b], slots_[c], value))
      return false;
    slots_[step.result] = wrap(value, step.type);
  }
  results.clear();
  for (const ValueId id : results_) results.push_back(slots_[id]);
  return true;
}

std::optional<HostLoop> HostLoop::of(const Region& condition, const Region& body) {
  auto test = HostCode::of(condition, condition.outputs);
  if (!test) return std::nullopt;
  const std::size_t states = body.outputs.size();
  std::vector<bool> known(body.inputs.size(), false);
  for (const ValueId id : test->inputs()) known[id] = true;
  // What a followed state becomes may depend on further ones.
  std::size_t count = 0;
  std::optional<HostCode> step;
  std::vector<ValueId> followed;
  do {
    count = static_cast<std::size_t>(std::count(known.begin(), known.end(), true));
    followed.clear();
    std::vector<ValueId> results;
    for (ValueId i = 0; i < states; ++i) {
      if (!known[i]) continue;
      followed.push_back(i);
      results.push_back(body.outputs[i]);
    }
    step = HostCode::of(body, results);
    if (!step) return std::nullopt;
    for (const ValueId id : step->inputs()) known[id] = true;
  } while (static_cast<std::size_t>(std::count(known.begin(), known.end(), true)) != count);
  HostLoop loop(*std::move(test), *std::move(step));
  for (ValueId id = 0; id < known.size(); ++id) {
    if (known[id]) loop.known_.push_back(id);
  }
  loop.followed_ = std::move(followed);
  loop.is_followed_.assign(states, false);
  for (const ValueId id : loop.followed_) loop.is_followed_[id] = true;
  return loop;
}

HostLoop::Course HostLoop::test(std::span<const std::int64_t> values) {
  if (!condition_.run(values, scratch_)) return Course::kLost;
  return scratch_.front() != 0 ? Course::kGoesOn : Course::kEnds;
}

bool HostLoop::step(std::vector<std::int64_t>& values) {
  if (!body_.run(values, scratch_)) return false;
  for (std::size_t i = 0; i < followed_.size(); ++i) values[followed_[i]] = scratch_[i];
  return true;
}

}  // namespace mlxnx::program
