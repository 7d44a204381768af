#include "program/verifier.h"

#include <algorithm>

#include "mlxc/memory.h"
#include "ops/invoke.h"
#include "program/function_region.h"
#include "program/printer.h"

namespace mlxnx::program {
namespace {

using Types = std::span<const TensorType>;

std::string list(Types types) {
  std::string text = "(";
  for (const TensorType& type : types) text += (text.size() > 1 ? ", " : "") + to_string(type);
  return text + ")";
}

[[noreturn]] void refuse(const Instruction& instruction, const std::string& what) {
  throw ArgumentError("[" + std::string(instruction.name()) + "] " + what);
}

std::vector<TensorType> input_types(const Region& region) {
  std::vector<TensorType> types;
  types.reserve(region.inputs.size());
  for (const Input& input : region.inputs) types.push_back(input.type);
  return types;
}

const Region& region_at(const Instruction& instruction, std::size_t i) {
  if (instruction.regions[i] == nullptr)
    refuse(instruction, "region " + std::to_string(i) + " is missing");
  return *instruction.regions[i];
}

void require_regions(const Instruction& instruction, std::size_t count) {
  if (instruction.regions.size() == count) return;
  refuse(instruction, "takes " + std::to_string(count) + " regions, got " +
                          std::to_string(instruction.regions.size()));
}

void require_signature(std::string_view name, const char* what, Types expected, Types found) {
  if (std::equal(expected.begin(), expected.end(), found.begin(), found.end())) return;
  throw ShapeError("[" + std::string(name) + "] " + what + " should be " + list(expected) +
                   ", got " + list(found));
}
void require_signature(const Instruction& instruction, const char* what, Types expected,
                       Types found) {
  require_signature(instruction.name(), what, expected, found);
}

void require_scalar(std::string_view name, const char* what, const TensorType& type) {
  if (type.shape.empty() && !is_complex(type.dtype)) return;
  throw ShapeError("[" + std::string(name) + "] " + what + " should be a real scalar, got " +
                   to_string(type));
}

// Whether `attrs` is what `normal_attrs` makes of it.
bool is_normal(const ops::Attrs& attrs, const ops::OpDef& op) {
  if (!takes_function(op) && ops::is_normal(attrs, op.attrs)) return true;
  const ops::Attrs normal = normal_attrs(attrs, op);
  return std::equal(attrs.entries().begin(), attrs.entries().end(), normal.entries().begin(),
                    normal.entries().end(), [](const auto& a, const auto& b) {
                      return a.first == b.first && a.second.index() == b.second.index();
                    });
}

OutputTypes infer_op(const Instruction& instruction, Types operands) {
  if (instruction.op == nullptr) refuse(instruction, "names no op");
  const ops::OpDef& op = *instruction.op;
  require_regions(instruction, takes_function(op) ? 1 : 0);
  if (!is_normal(instruction.attrs, op)) refuse(instruction, "its attributes lack their defaults");
  const std::size_t own = own_operands(instruction);
  if (takes_function(op)) {
    const Region& function = region_at(instruction, 0);
    check_function_region(op.name, function);
    const std::vector<TensorType> inputs = input_types(function);
    require_signature(instruction, "what the function captures", Types(inputs).subspan(2),
                      operands.subspan(own));
  }
  const ops::OutputTypes outputs = own_types(instruction, operands.first(own));
  return OutputTypes(outputs);
}

// The loop of a while or a while_reverse, over its state and captures. Returns: the state's types.
OutputTypes infer_loop(const Instruction& instruction, Types operands) {
  const Region& condition = region_at(instruction, 0);
  const Region& body = region_at(instruction, 1);
  require_signature(instruction, "the condition's inputs", operands, input_types(condition));
  require_signature(instruction, "the body's inputs", operands, input_types(body));
  const std::vector<TensorType> answer = condition.output_types();
  if (answer.size() != 1) {
    refuse(instruction, "the condition should have 1 output, got " + std::to_string(answer.size()));
  }
  require_scalar(instruction.name(), "the condition's output", answer.front());
  std::vector<TensorType> state = body.output_types();
  if (state.empty()) refuse(instruction, "the body has no outputs");
  const std::size_t count = std::min(state.size(), operands.size());
  require_signature(instruction, "the body's outputs", operands.first(count), state);
  return OutputTypes(state);
}

OutputTypes infer_while(const Instruction& instruction, Types operands) {
  require_regions(instruction, 2);
  return infer_loop(instruction, operands);
}

OutputTypes infer_while_reverse(const Instruction& instruction, Types operands) {
  const std::size_t count = instruction.values;
  if (count == 0 || count > operands.size()) {
    refuse(instruction, "carries " + std::to_string(count) + " values back of " +
                            std::to_string(operands.size()) + " operands");
  }
  require_regions(instruction, 3);
  infer_loop(instruction, operands.first(operands.size() - count));
  const Region& back = region_at(instruction, 2);
  const Types carried = operands.last(count);
  require_signature(instruction, "the inputs of its way back", operands, input_types(back));
  require_signature(instruction, "the outputs of its way back", carried, back.output_types());
  return OutputTypes(carried);
}

OutputTypes infer_checkpoint(const Instruction& instruction, Types operands) {
  require_regions(instruction, 1);
  const Region& piece = region_at(instruction, 0);
  require_signature(instruction, "the piece's inputs", operands, input_types(piece));
  if (piece.outputs.empty()) refuse(instruction, "the piece has no outputs");
  return OutputTypes(piece.output_types());
}

OutputTypes infer_cond(const Instruction& instruction, Types operands) {
  const std::size_t count = instruction.predicates;
  if (count == 0 || count > operands.size()) {
    refuse(instruction, "has " + std::to_string(count) + " predicates among " +
                            std::to_string(operands.size()) + " operands");
  }
  require_regions(instruction, count + 1);
  for (const TensorType& predicate : operands.first(count)) check_predicate(predicate);
  const std::vector<TensorType> outputs = region_at(instruction, count).output_types();
  for (std::size_t i = 0; i <= count; ++i) {
    const Region& branch = region_at(instruction, i);
    require_signature(instruction, "a branch's inputs", operands.subspan(count),
                      input_types(branch));
    check_branches(outputs, branch.output_types());
  }
  return OutputTypes(outputs);
}

OutputTypes infer_custom_vjp(const Instruction& instruction, Types operands) {
  const std::size_t count = instruction.values;
  if (count == 0 || count > operands.size()) {
    refuse(instruction, "passes on " + std::to_string(count) + " values of " +
                            std::to_string(operands.size()) + " operands");
  }
  const Types values = operands.first(count);
  if (instruction.regions.empty() && instruction.callback.empty())
    refuse(instruction, "has neither a region nor a reason for that");
  if (!instruction.regions.empty()) {
    require_regions(instruction, 1);
    const Region& backward = region_at(instruction, 0);
    const std::vector<TensorType> answers = backward.output_types();
    if (answers.size() > operands.size() - count) {
      refuse(instruction, "answers " + std::to_string(answers.size()) + " cotangents for " +
                              std::to_string(operands.size() - count) + " inputs");
    }
    const Types captures = operands.subspan(count + answers.size());
    std::vector<TensorType> expected;
    for (const TensorType& value : values) expected.push_back(cotangent_type(value));
    expected.insert(expected.end(), captures.begin(), captures.end());
    require_signature(instruction, "the gradient's inputs", expected, input_types(backward));
    expected.clear();
    for (const TensorType& input : operands.subspan(count, answers.size()))
      expected.push_back(cotangent_type(input));
    require_signature(instruction, "the gradient's outputs", expected, answers);
  }
  return OutputTypes(values);
}

void check_type(const TensorType& type) {
  for (const std::int64_t dim : type.shape) {
    if (dim >= 0) continue;
    throw ShapeError("[program] a dimension must not be negative, got " + to_string(type));
  }
  mlxc::check_countable(type, "program");
  element_count(type.shape);
}

class Verifier {
 public:
  void check(const Region& region, int depth) {
    if (depth > kMostNested) {
      throw ArgumentError("[program] regions stand more than " + std::to_string(kMostNested) +
                          " deep within each other");
    }
    std::vector<TensorType> values;
    values.reserve(region.value_count());
    for (const Input& input : region.inputs) {
      check_type(input.type);
      values.push_back(input.type);
    }
    for (const Instruction& instruction : region.instructions) {
      named(instruction, [&] { check(instruction, values, depth); });
      values.insert(values.end(), instruction.outputs.begin(), instruction.outputs.end());
    }
    for (const ValueId id : region.outputs) {
      if (id >= values.size()) {
        throw ArgumentError("[program] an output is %" + std::to_string(id) + ", and there are " +
                            std::to_string(values.size()) + " values");
      }
    }
  }

 private:
  // Puts the instruction in front of what its rules say.
  template <typename Body>
  static void named(const Instruction& instruction, Body body) {
    try {
      body();
    } catch (const ShapeError& error) {
      throw ShapeError(text(instruction, error));
    } catch (const TypeError& error) {
      throw TypeError(text(instruction, error));
    } catch (const ArgumentError& error) {
      throw ArgumentError(text(instruction, error));
    } catch (const UnsupportedError& error) {
      throw UnsupportedError(text(instruction, error));
    }
  }
  static std::string text(const Instruction& instruction, const std::exception& error) {
    return "[program] " + label(instruction) + ": " + error.what();
  }

  void check(const Instruction& instruction, Types values, int depth) {
    if (instruction.first != values.size()) {
      throw ArgumentError("the values before it are " + std::to_string(values.size()) +
                          ", and its first output is %" + std::to_string(instruction.first));
    }
    for (const auto& region : instruction.regions) {
      if (region == nullptr) throw ArgumentError("a region is missing");
      check(*region, depth + 1);
    }
    for (const TensorType& type : instruction.outputs) check_type(type);
    check_outputs(instruction, infer_outputs(instruction, values), instruction.outputs);
  }
};

}  // namespace

bool takes_function(const ops::OpDef& op) {
  return std::any_of(op.attrs.begin(), op.attrs.end(),
                     [](const ops::AttrDef& def) { return def.kind == ops::AttrKind::kFunction; });
}

ops::Attrs with_function(const ops::Attrs& attrs, const ops::OpDef& op,
                         std::shared_ptr<const ops::Function> function) {
  if (!takes_function(op)) return attrs;
  static const auto kNone = std::make_shared<const ops::Function>(ops::Function{
      "region", [](const mlxc::Array& element, const mlxc::Array&) { return element; }});
  ops::Attrs result = attrs;
  for (const ops::AttrDef& def : op.attrs) {
    if (def.kind == ops::AttrKind::kFunction)
      result.set(def.name, function != nullptr ? std::move(function) : kNone);
  }
  return result;
}

ops::Attrs normal_attrs(const ops::Attrs& attrs, const ops::OpDef& op) {
  if (!takes_function(op)) {
    if (ops::is_normal(attrs, op.attrs)) return attrs;
    return ops::normalise(attrs, op.attrs, op.name);
  }
  const ops::Attrs normal = ops::normalise(with_function(attrs, op), op.attrs, op.name);
  ops::Attrs result;
  for (const auto& [name, value] : normal.entries()) {
    if (!std::holds_alternative<std::shared_ptr<const ops::Function>>(value))
      result.set(name, value);
  }
  return result;
}

ops::OutputTypes own_types(const Instruction& instruction, Types operands) {
  const ops::OpDef& op = *instruction.op;
  if (!takes_function(op)) return ops::infer_types(op, operands, instruction.attrs);
  return ops::infer_types(op, operands, with_function(instruction.attrs, op));
}

OutputTypes infer_outputs(const Instruction& instruction, Types values) {
  InlineVector<TensorType, 4> operands;
  for (const ValueId id : instruction.operands) {
    if (id >= values.size()) {
      refuse(instruction, "reads %" + std::to_string(id) + ", and only " +
                              std::to_string(values.size()) + " values stand before it");
    }
    operands.push_back(values[id]);
  }
  switch (instruction.kind) {
    case InstructionKind::kOp:
      return infer_op(instruction, operands);
    case InstructionKind::kConstant:
      if (!instruction.constant) refuse(instruction, "has no tensor");
      if (!operands.empty()) refuse(instruction, "takes no operands");
      return OutputTypes({instruction.constant->type()});
    case InstructionKind::kWhile:
      return infer_while(instruction, operands);
    case InstructionKind::kCond:
      return infer_cond(instruction, operands);
    case InstructionKind::kHook:
    case InstructionKind::kStopGradient:
      require_regions(instruction, 0);
      return OutputTypes(operands);
    case InstructionKind::kCheckpoint:
      return infer_checkpoint(instruction, operands);
    case InstructionKind::kWhileReverse:
      return infer_while_reverse(instruction, operands);
    case InstructionKind::kCustomVjp:
      return infer_custom_vjp(instruction, operands);
    case InstructionKind::kRuntimeCall:
      require_regions(instruction, 0);
      return instruction.outputs;
  }
  refuse(instruction, "is of no known kind");
}

void check_outputs(const Instruction& instruction, Types inferred, Types outputs) {
  const bool may_cast = instruction.kind == InstructionKind::kOp;
  bool fits = inferred.size() == outputs.size();
  for (std::size_t i = 0; fits && i < outputs.size(); ++i) {
    fits = inferred[i].shape == outputs[i].shape &&
           (may_cast || inferred[i].dtype == outputs[i].dtype);
  }
  if (fits) return;
  throw ShapeError("[" + std::string(instruction.name()) + "] the outputs are " + list(inferred) +
                   ", and were expected as " + list(outputs));
}

void check_predicate(const TensorType& predicate) {
  require_scalar(name(InstructionKind::kCond), "a predicate", predicate);
}

void check_branches(Types last, Types other) {
  require_signature(name(InstructionKind::kCond), "a branch's outputs", last, other);
}

void verify(const Region& region) { Verifier().check(region, 0); }

void verify(const Program& program) {
  verify(program.main);
  const std::size_t names = program.output_names.size();
  if (names != 0 && names != program.main.outputs.size()) {
    throw ArgumentError("[program] " + std::to_string(names) + " output names for " +
                        std::to_string(program.main.outputs.size()) + " outputs");
  }
}

}  // namespace mlxnx::program
