#include "transforms/apply.h"

#include <algorithm>

#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "program/verifier.h"
#include "transforms/algebra.h"
#include "transforms/control.h"
#include "transforms/interpret.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::Trace;

std::vector<Tensor> emit(const Instruction& instruction, std::span<const Tensor> operands) {
  return Trace::current()->record_instruction(instruction, operands);
}

std::vector<Tensor> emit(const Region& region, std::vector<Tensor> inputs) {
  return Trace::current()->record_values(region, std::move(inputs));
}

std::vector<TensorType> types_of(std::span<const Tensor> tensors) {
  std::vector<TensorType> types;
  types.reserve(tensors.size());
  for (const Tensor& tensor : tensors) types.push_back(tensor.type());
  return types;
}

Region region_of(std::span<const program::Input> inputs, const Trace::Function& function) {
  Trace trace;
  trace.run(inputs, function, true);
  return trace.finish();
}

RegionPtr region_of(std::span<const TensorType> inputs, const Trace::Function& function) {
  std::vector<program::Input> ports;
  for (const TensorType& type : inputs) ports.push_back({"", type});
  return std::make_shared<const Region>(region_of(ports, function));
}

namespace {

const Rule& rule_of(const Instruction& instruction) {
  const Rule* rule = find_rule(*instruction.op);
  if (rule != nullptr) return *rule;
  throw UnsupportedError("[" + std::string(instruction.name()) + "] has no derivative");
}

[[noreturn]] void refuse(const Rule& rule) {
  throw UnsupportedError("[" + std::string(rule.op) + "] " + std::string(rule.reason));
}

// Operands that hold starts of slices are positions, whatever the op does with the rest.
bool is_start(const Instruction& instruction, std::size_t i) {
  const auto* starts = instruction.attrs.get_if<std::vector<ops::Start>>("starts");
  return starts != nullptr && std::any_of(starts->begin(), starts->end(), [i](const auto& start) {
           const auto* dynamic = std::get_if<ops::DynamicStart>(&start);
           return dynamic != nullptr && static_cast<std::size_t>(dynamic->operand) == i;
         });
}

bool is_linear_in(const Rule& rule, const Instruction& instruction, std::size_t i) {
  return rule.is_linear_in(i) && !is_start(instruction, i);
}

// Transforms take small results for 0 (`eps`), but not small tangents of them.
Tensor apply_linear(const Instruction& instruction, std::span<const Tensor> operands) {
  ops::Attrs attrs = instruction.attrs;
  if (attrs.get_if<double>("eps") != nullptr) attrs.set("eps", 0.0);
  return ops::invoke(*instruction.op, operands, attrs);
}

// The op with the results that its own rules answer, where the instruction casts them to others:
// no rule has to know of that.
std::optional<Instruction> without_cast(const Application& call) {
  const Instruction& instruction = call.instruction;
  const std::vector<TensorType> types = types_of(call.in.first(program::own_operands(instruction)));
  const ops::OutputTypes own = program::own_types(instruction, types);
  if (std::equal(own.begin(), own.end(), instruction.outputs.begin(), instruction.outputs.end()))
    return std::nullopt;
  Instruction result = instruction;
  result.outputs.assign(own.begin(), own.end());
  return result;
}

// Each as a tangent or cotangent of the value beside it.
Linears conformed(Linears linears, std::span<const Tensor> values) {
  for (std::size_t i = 0; i < linears.size(); ++i) {
    if (linears[i]) linears[i] = conform(*linears[i], values[i].type());
  }
  return linears;
}

// What the op is made of; its rule may know a better way than the row.
std::vector<Tensor> compose(const Rule& rule, const Instruction& instruction,
                            std::span<const Tensor> in) {
  if (rule.compose != nullptr) return rule.compose({instruction, in, {}});
  const ops::OpDef& op = *instruction.op;
  if (op.compose != nullptr) return op.compose({op, in, instruction.attrs, instruction.outputs});
  throw UnsupportedError("[" + std::string(rule.op) + "] is made of no other ops");
}

RegionPtr composed_region(const Rule& rule, const Application& call) {
  return region_of(types_of(call.in), [&](const std::vector<Tensor>& in) {
    return compose(rule, call.instruction, in);
  });
}

Linears op_tangents(const Application& call, std::span<const Linear> tangents) {
  const Instruction& instruction = call.instruction;
  const Rule& rule = rule_of(instruction);
  if (const auto own = without_cast(call)) {
    const std::vector<Tensor> out = emit(*own, call.in);
    return conformed(op_tangents({*own, call.in, out}, tangents), call.out);
  }
  Linears results(call.out.size());
  const auto add = [&](const Tensor& tangent) {
    results[0] = plus(results[0], conform(tangent, call.out[0].type()));
  };
  switch (rule.derivative) {
    case Derivative::kZero:
      break;
    case Derivative::kElementwise:
      for (std::size_t i = 0; i < tangents.size(); ++i) {
        if (tangents[i]) add(rule.scale(call, i, *tangents[i]));
      }
      break;
    case Derivative::kJointly: {
      std::vector<Tensor> operands(call.in.begin(), call.in.end());
      bool is_active = false;
      for (std::size_t i = 0; i < operands.size(); ++i) {
        if (!is_linear_in(rule, instruction, i)) continue;
        is_active |= tangents[i].has_value();
        operands[i] =
            tangents[i] ? *tangents[i] : zeros(program::cotangent_type(operands[i].type()));
      }
      if (is_active) add(apply_linear(instruction, operands));
      break;
    }
    case Derivative::kEach:
      for (std::size_t i = 0; i < tangents.size(); ++i) {
        if (!tangents[i] || !is_linear_in(rule, instruction, i)) continue;
        std::vector<Tensor> operands(call.in.begin(), call.in.end());
        operands[i] = *tangents[i];
        add(apply_linear(instruction, operands));
      }
      break;
    case Derivative::kForward:
      return conformed(rule.forward(call, tangents), call.out);
    case Derivative::kForwardOnly:
    case Derivative::kComposed: {
      const RegionPtr region = composed_region(rule, call);
      return conformed(push_forward(*region, {call.in.begin(), call.in.end()},
                                    {tangents.begin(), tangents.end()})
                           .tangents,
                       call.out);
    }
  }
  return results;
}

// A rule that leads forward, as a region: (operands…, outputs…, tangents…) -> tangents. It is
// linear in the last, so that its pullback there is its transpose.
Linears transposed(const Rule& rule, const Application& call, std::span<const Linear> cotangents,
                   const std::vector<bool>& wanted) {
  std::vector<Tensor> inputs(call.in.begin(), call.in.end());
  inputs.insert(inputs.end(), call.out.begin(), call.out.end());
  const std::size_t known = inputs.size();
  std::vector<std::size_t> moving;
  for (std::size_t i = 0; i < call.in.size(); ++i) {
    if (!wanted[i]) continue;
    moving.push_back(i);
    inputs.push_back(zeros(program::cotangent_type(call.in[i].type())));
  }
  std::vector<std::size_t> has_tangent;  // the outputs that do
  const RegionPtr region = region_of(types_of(inputs), [&](const std::vector<Tensor>& values) {
    const std::span<const Tensor> all(values);
    Linears tangents(call.in.size());
    for (std::size_t k = 0; k < moving.size(); ++k) tangents[moving[k]] = values[known + k];
    const Application inner{call.instruction, all.first(call.in.size()),
                            all.subspan(call.in.size(), call.out.size())};
    std::vector<Tensor> outputs;
    const Linears results = rule.forward(inner, tangents);
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (!results[k] || !cotangents[k]) continue;
      has_tangent.push_back(k);
      outputs.push_back(conform(*results[k], call.out[k].type()));
    }
    return outputs;
  });
  std::vector<bool> is_tangent(inputs.size());
  std::fill(is_tangent.begin() + static_cast<std::ptrdiff_t>(known), is_tangent.end(), true);
  Linears of_outputs;
  for (const std::size_t k : has_tangent) of_outputs.push_back(cotangents[k]);
  const Linears all = Pullback(*region, inputs, is_tangent)(of_outputs);
  Linears results(call.in.size());
  for (std::size_t k = 0; k < moving.size(); ++k) results[moving[k]] = all[known + k];
  return results;
}

Linears op_cotangents(const Application& call, std::span<const Linear> cotangents,
                      const std::vector<bool>& wanted) {
  const Instruction& instruction = call.instruction;
  const Rule& rule = rule_of(instruction);
  if (const auto own = without_cast(call)) {
    const std::vector<Tensor> out = emit(*own, call.in);
    return op_cotangents({*own, call.in, out},
                         conformed({cotangents.begin(), cotangents.end()}, out), wanted);
  }
  Linears results(call.in.size());
  const auto for_each_wanted = [&](auto&& answer) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (wanted[i]) results[i] = answer(i);
    }
  };
  const auto linear = [&](std::size_t i) -> Linear {
    if (!is_linear_in(rule, instruction, i)) return std::nullopt;
    return rule.transpose(call, i, *cotangents[0]);
  };
  switch (rule.derivative) {
    case Derivative::kZero:
      break;
    case Derivative::kForwardOnly:
      refuse(rule);
    case Derivative::kElementwise:
      for_each_wanted([&](std::size_t i) { return Linear(rule.scale(call, i, *cotangents[0])); });
      break;
    case Derivative::kJointly:
    case Derivative::kEach:
      for_each_wanted(linear);
      break;
    case Derivative::kForward: {
      bool is_linear = rule.transpose != nullptr;
      for (std::size_t i = 0; i < results.size(); ++i)
        is_linear = is_linear && (!wanted[i] || rule.is_linear_in(i));
      if (is_linear) {
        for_each_wanted(linear);
      } else {
        results = transposed(rule, call, cotangents, wanted);
      }
      break;
    }
    case Derivative::kComposed: {
      const RegionPtr region = composed_region(rule, call);
      results = Pullback(*region, {call.in.begin(), call.in.end()},
                         wanted)({cotangents.begin(), cotangents.end()});
      break;
    }
  }
  return conformed(std::move(results), call.in);
}

}  // namespace

RegionPtr composed(const Instruction& instruction, std::span<const TensorType> operands) {
  return region_of(operands, [&](const std::vector<Tensor>& in) {
    std::vector<Tensor> results = compose(rule_of(instruction), instruction, in);
    for (std::size_t i = 0; i < results.size(); ++i)
      results[i] = as_type(results[i], instruction.outputs[i].dtype);
    return results;
  });
}

bool passes_tangents(const Instruction& instruction, DType first) {
  const auto is_continuous = [](DType type) { return is_float(type) || is_complex(type); };
  switch (instruction.kind) {
    case InstructionKind::kOp: {
      // A number that is rounded to an integer is a constant nearly everywhere. Other ops whose
      // results are cast have the derivative of what is cast.
      if (is_continuous(first) && !is_continuous(instruction.outputs[0].dtype) &&
          instruction.op->name == "as_type")
        return false;
      const Rule* rule = find_rule(*instruction.op);
      return rule == nullptr || rule->derivative != Derivative::kZero;
    }
    case InstructionKind::kConstant:
    case InstructionKind::kRuntimeCall:
    case InstructionKind::kStopGradient:
      return false;
    case InstructionKind::kWhile:
    case InstructionKind::kCond:
    case InstructionKind::kHook:
    case InstructionKind::kCustomVjp:
    case InstructionKind::kCheckpoint:
    case InstructionKind::kWhileReverse:
      return true;
  }
  return false;
}

Duals push_through(const Instruction& instruction, std::span<const Tensor> operands,
                   std::span<const Linear> tangents) {
  switch (instruction.kind) {
    case InstructionKind::kCond:
    case InstructionKind::kCheckpoint:
      return push_through_pieces(instruction, operands, tangents);
    case InstructionKind::kWhile:
    case InstructionKind::kWhileReverse:
      return push_through_loop(instruction, operands, tangents);
    case InstructionKind::kCustomVjp:
      return push_through_custom(instruction, operands, tangents);
    default:
      break;
  }
  Duals duals;
  duals.values = emit(instruction, operands);
  if (instruction.kind == InstructionKind::kOp) {
    duals.tangents = op_tangents({instruction, operands, duals.values}, tangents);
  } else {
    duals.tangents.assign(tangents.begin(), tangents.end());
  }
  return duals;
}

Linears cotangents_of(const Application& call, std::span<const Linear> cotangents,
                      const std::vector<bool>& wanted) {
  switch (call.instruction.kind) {
    case InstructionKind::kOp:
      return op_cotangents(call, cotangents, wanted);
    case InstructionKind::kHook:
      return {cotangents.begin(), cotangents.end()};
    case InstructionKind::kWhile:
      return while_cotangents(call, cotangents, wanted);
    case InstructionKind::kCond:
    case InstructionKind::kCheckpoint:
      return pieces_cotangents(call, cotangents, wanted);
    case InstructionKind::kCustomVjp:
      return custom_cotangents(call, cotangents, wanted);
    case InstructionKind::kWhileReverse:
      return while_reverse_cotangents(call, cotangents, wanted);
    case InstructionKind::kConstant:
    case InstructionKind::kRuntimeCall:
    case InstructionKind::kStopGradient:
      break;
  }
  return Linears(call.in.size());
}

}  // namespace mlxnx::transforms
