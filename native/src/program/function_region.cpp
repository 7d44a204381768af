#include "program/function_region.h"

#include <algorithm>
#include <array>

#include "mlxc/graph.h"
#include "ops/invoke.h"
#include "ops/operands.h"
#include "program/printer.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

// Ops that leave a scalar what it is.
bool keeps_scalars(const ops::OpDef& op) {
  constexpr std::array kNames = {"broadcast", "reshape", "reverse", "squeeze", "transpose"};
  return std::find(kNames.begin(), kNames.end(), op.name) != kNames.end();
}

bool is_elementwise(const ops::OpDef& op) {
  constexpr std::array kNames = {"as_type", "bitcast", "clip", "select"};
  return op.group == ops::Group::kUnary || op.group == ops::Group::kBinary ||
         op.group == ops::Group::kCreation ||
         std::find(kNames.begin(), kNames.end(), op.name) != kNames.end();
}

bool is_supported(const Instruction& instruction) {
  switch (instruction.kind) {
    case InstructionKind::kConstant:
    case InstructionKind::kCond:
    case InstructionKind::kStopGradient:
    case InstructionKind::kCustomVjp:
      return true;
    case InstructionKind::kOp:
      return is_elementwise(*instruction.op) || keeps_scalars(*instruction.op);
    default:
      return false;
  }
}

void check_scalars(std::string_view op, std::span<const TensorType> types) {
  for (const TensorType& type : types) {
    if (type.shape.empty()) continue;
    throw ShapeError("[" + std::string(op) + "] the function works on scalars, and has a value " +
                     to_string(type));
  }
}

void check_instructions(std::string_view op, const Region& region) {
  check_scalars(op, region.value_types());
  for (const Instruction& instruction : region.instructions) {
    if (!is_supported(instruction)) {
      throw UnsupportedError("[" + std::string(op) +
                             "] the function may hold what works element by element, not " +
                             label(instruction));
    }
    if (instruction.kind == InstructionKind::kCustomVjp) continue;  // its region never runs here
    for (const auto& nested : instruction.regions) {
      if (nested != nullptr) check_instructions(op, *nested);
    }
  }
}

class Evaluation {
 public:
  explicit Evaluation(const Region& region) : region_(region) {}

  std::vector<Array> run(std::span<const Array> inputs) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Array& input = inputs[i];
      const DType type = region_.inputs[i].type.dtype;
      values_.push_back(input.dtype() == type ? input : ops::convert(input, input.dtype(), type));
    }
    for (const Instruction& instruction : region_.instructions) run(instruction);
    std::vector<Array> outputs;
    for (const ValueId id : region_.outputs) outputs.push_back(values_[id]);
    return outputs;
  }

 private:
  void run(const Instruction& instruction) {
    switch (instruction.kind) {
      case InstructionKind::kConstant:
        values_.push_back(instruction.constant->node().array);
        break;
      case InstructionKind::kCond:
        for (Array& value : select(instruction, 0)) values_.push_back(std::move(value));
        break;
      default:
        values_.push_back(call(instruction));
    }
  }

  Array call(const Instruction& instruction) {
    const DType wanted = instruction.outputs.front().dtype;
    if (keeps_scalars(*instruction.op)) {
      const Array& value = values_[instruction.operands.front()];
      return value.dtype() == wanted ? value : ops::convert(value, value.dtype(), wanted);
    }
    std::vector<TensorType> types;
    types.reserve(instruction.operands.size());
    for (const ValueId id : instruction.operands)
      types.push_back({values_[id].dtype(), ops::shape_of(values_[id])});
    std::vector<ops::Operand> operands;
    for (std::size_t i = 0; i < types.size(); ++i)
      operands.push_back({&types[i], &values_[instruction.operands[i]], nullptr, nullptr});
    ops::OutputTypes outputs = ops::infer_types(*instruction.op, types, instruction.attrs);
    outputs[0].dtype = wanted;
    return std::move(ops::build_as(*instruction.op, operands, instruction.attrs, outputs).front());
  }

  // All branches run; each position takes its own.
  std::vector<Array> select(const Instruction& instruction, std::size_t branch) {
    std::vector<Array> captures;
    for (std::size_t i = instruction.predicates; i < instruction.operands.size(); ++i)
      captures.push_back(values_[instruction.operands[i]]);
    std::vector<Array> chosen = Evaluation(*instruction.regions[branch]).run(captures);
    if (branch == instruction.predicates) return chosen;
    const Array holds = mlxc::asbool(values_[instruction.operands[branch]]);
    const std::vector<Array> others = select(instruction, branch + 1);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = mlxc::where(holds, chosen[i], others[i]);
    return chosen;
  }

  const Region& region_;
  std::vector<Array> values_;
};

}  // namespace

void check_function_region(std::string_view op, const Region& region) {
  if (region.inputs.size() < 2 || region.outputs.size() != 1) {
    throw ArgumentError("[" + std::string(op) +
                        "] the function takes an element and an accumulator and answers one value, "
                        "got " +
                        std::to_string(region.inputs.size()) + " inputs and " +
                        std::to_string(region.outputs.size()) + " outputs");
  }
  check_instructions(op, region);
}

std::shared_ptr<const ops::Function> as_function(const Region& region,
                                                 std::vector<Array> captures) {
  const auto apply = [&region, captures](const Array& element, const Array& accumulator) {
    std::vector<Array> inputs = {element, accumulator};
    inputs.insert(inputs.end(), captures.begin(), captures.end());
    return std::move(Evaluation(region).run(inputs).front());
  };
  return std::make_shared<const ops::Function>(ops::Function{
      .name = "region", .apply = apply, .only_builds = true, .captures = std::move(captures)});
}

}  // namespace mlxnx::program
