#include "transforms/batch.h"

#include <algorithm>
#include <unordered_map>

#include "mlxnx/error.h"
#include "ops/registry.h"
#include "program/trace.h"
#include "transforms/algebra.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::Trace;
using program::ValueId;

namespace {

using Tensors = std::vector<Tensor>;

Shape without_first(const Shape& shape) { return {shape.begin() + 1, shape.end()}; }
Shape with_first(std::int64_t size, const Shape& shape) {
  Shape result{size};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

Tensor repeated(const Tensor& tensor, std::int64_t size) {
  return broadcast(tensor, with_first(size, tensor.shape()));
}

Tensor mapped(const Batched& value, std::int64_t size) {
  return value.is_mapped ? value.tensor : repeated(value.tensor, size);
}

bool is_any_mapped(std::span<const Batched> values) {
  return std::any_of(values.begin(), values.end(),
                     [](const Batched& value) { return value.is_mapped; });
}

std::vector<Batched> all_mapped(Tensors tensors) {
  std::vector<Batched> result;
  for (Tensor& tensor : tensors) result.push_back({std::move(tensor), true});
  return result;
}

// Which outputs of a region depend on these inputs.
std::vector<bool> depending(const Region& region, std::vector<bool> on) {
  for (const Instruction& instruction : region.instructions) {
    const bool depends = std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                     [&](ValueId id) { return on[id]; });
    on.resize(on.size() + instruction.outputs.size(), depends);
  }
  std::vector<bool> result;
  for (const ValueId id : region.outputs) result.push_back(on[id]);
  return result;
}

std::vector<bool> flags(std::span<const Batched> values) {
  std::vector<bool> result;
  for (const Batched& value : values) result.push_back(value.is_mapped);
  return result;
}

// Tensors that stand for the values, as `like` has them.
std::vector<Batched> standing_for(std::span<const Tensor> tensors, const std::vector<bool>& like) {
  std::vector<Batched> result;
  for (std::size_t i = 0; i < tensors.size(); ++i) result.push_back({tensors[i], like[i]});
  return result;
}

Tensors tensors_of(std::span<const Batched> values) {
  Tensors result;
  for (const Batched& value : values) result.push_back(value.tensor);
  return result;
}

// Predicates, one for each example, beside a value that has them.
Tensor chosen(const Tensor& holds, const Tensor& yes, const Tensor& no) {
  Shape shape(yes.rank(), 1);
  shape[0] = holds.shape()[0];
  return select(broadcast(reshape(holds, shape), yes.shape()), yes, no);
}

// The values, with those of another example where `holds` is 0: what such an example would compute
// counts for nothing, but might never end, or make a NaN of a gradient's 0. Some example is to
// hold.
std::vector<Batched> with_stand_ins(const Tensor& holds, std::vector<Batched> values) {
  const Tensor holder = argmax(holds);
  for (Batched& value : values) {
    if (!value.is_mapped) continue;
    const Tensor& tensor = value.tensor;
    value.tensor = chosen(holds, tensor, broadcast(take(tensor, holder), tensor.shape()));
  }
  return values;
}

// Examples leave the loop when their condition says so; what they hold stays until all have left.
std::vector<Batched> map_while(const Instruction& instruction, std::span<const Batched> operands,
                               std::int64_t size) {
  const Region& condition = *instruction.regions[0];
  const Region& body = *instruction.regions[1];
  const std::size_t count = body.outputs.size();
  std::vector<bool> is_mapped = flags(operands);
  const std::span<const Batched> captures = operands.subspan(count);
  while (true) {
    std::vector<bool> next = depending(body, is_mapped);
    if (depending(condition, is_mapped).front()) next.assign(count, true);
    bool grows = false;
    for (std::size_t i = 0; i < count; ++i) {
      grows |= next[i] && !is_mapped[i];
      is_mapped[i] = is_mapped[i] || next[i];
    }
    if (!grows) break;
  }
  const bool is_each = depending(condition, is_mapped).front();
  const auto with_captures = [&](const Tensors& state) {
    std::vector<Batched> all = standing_for(state, is_mapped);
    all.insert(all.end(), captures.begin(), captures.end());
    return all;
  };
  const auto holds = [&](const Tensors& state) {
    return map_over(condition, with_captures(state), size).front().tensor != 0;
  };
  Tensors initial;
  for (std::size_t i = 0; i < count; ++i)
    initial.push_back(is_mapped[i] ? mapped(operands[i], size) : operands[i].tensor);
  const Tensors results = Trace::current()->record_while(
      initial,
      [&](const Tensors& state) { return Tensors{is_each ? any(holds(state)) : holds(state)}; },
      [&](const Tensors& state) {
        std::vector<Batched> inputs = with_captures(state);
        const Tensor goes_on = holds(state);
        if (is_each) inputs = with_stand_ins(goes_on, std::move(inputs));
        const std::vector<Batched> next = map_over(body, std::move(inputs), size);
        Tensors tensors;
        for (std::size_t i = 0; i < count; ++i)
          tensors.push_back(is_mapped[i] ? mapped(next[i], size) : next[i].tensor);
        if (!is_each) return tensors;
        for (std::size_t i = 0; i < count; ++i) tensors[i] = chosen(goes_on, tensors[i], state[i]);
        return tensors;
      });
  return standing_for(results, is_mapped);
}

// The same for a loop with its way back, which each example begins with its own last iteration.
std::vector<Batched> map_while_reverse(const Instruction& instruction,
                                       std::span<const Batched> operands, std::int64_t size) {
  const Region& condition = *instruction.regions[0];
  const Region& body = *instruction.regions[1];
  const Region& back = *instruction.regions[2];
  const std::size_t count = body.outputs.size();
  const std::size_t known = operands.size() - instruction.values;
  std::vector<bool> is_mapped = flags(operands);
  bool is_each = false;
  while (true) {
    const std::vector<bool> before = is_mapped;
    const std::vector<bool> there(is_mapped.begin(),
                                  is_mapped.begin() + static_cast<std::ptrdiff_t>(known));
    is_each = depending(condition, there).front();
    const std::vector<bool> state = depending(body, there);
    for (std::size_t i = 0; i < count; ++i) is_mapped[i] = is_mapped[i] || is_each || state[i];
    const std::vector<bool> carried = depending(back, is_mapped);
    for (std::size_t i = 0; i < carried.size(); ++i)
      is_mapped[known + i] = is_mapped[known + i] || is_each || carried[i];
    if (is_mapped == before) break;
  }
  Tensors all;
  for (std::size_t i = 0; i < operands.size(); ++i)
    all.push_back(is_mapped[i] ? mapped(operands[i], size) : operands[i].tensor);
  const std::vector<TensorType> types = types_of(all);
  const auto as_mapped = [&](const Tensors& inputs, std::size_t length) {
    return standing_for(std::span(inputs).first(length), is_mapped);
  };
  const auto holds = [&](const Tensors& inputs) {
    return map_over(condition, as_mapped(inputs, known), size).front().tensor != 0;
  };
  const auto next = [&](const Region& region, const Tensors& inputs, std::size_t length,
                        std::size_t first) {
    Tensors tensors;
    std::vector<Batched> arguments = as_mapped(inputs, length);
    const Tensor goes_on = holds(inputs);
    if (is_each) arguments = with_stand_ins(goes_on, std::move(arguments));
    const std::vector<Batched> values = map_over(region, std::move(arguments), size);
    for (std::size_t i = 0; i < values.size(); ++i)
      tensors.push_back(is_mapped[first + i] ? mapped(values[i], size) : values[i].tensor);
    if (!is_each) return tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      tensors[i] = chosen(goes_on, tensors[i], inputs[first + i]);
    return tensors;
  };
  const std::span<const TensorType> there(types.data(), known);
  Instruction copy = instruction;
  copy.regions = {
      region_of(there,
                [&](const Tensors& inputs) {
                  return Tensors{is_each ? any(holds(inputs)) : holds(inputs)};
                }),
      region_of(there, [&](const Tensors& inputs) { return next(body, inputs, known, 0); }),
      region_of(types,
                [&](const Tensors& inputs) { return next(back, inputs, inputs.size(), known); })};
  copy.outputs = copy.regions[2]->output_types();
  return standing_for(emit(copy, all),
                      {is_mapped.begin() + static_cast<std::ptrdiff_t>(known), is_mapped.end()});
}

// Where examples choose for themselves, each branch that some of them take is computed for all.
std::vector<Batched> choose_each(const Instruction& instruction, std::span<const Batched> operands,
                                 std::int64_t size) {
  const std::size_t predicates = instruction.predicates;
  const std::vector<Batched> captures(operands.begin() + static_cast<std::ptrdiff_t>(predicates),
                                      operands.end());
  Tensors results;
  for (const TensorType& type : instruction.outputs)
    results.push_back(zeros({type.dtype, with_first(size, type.shape)}));
  Tensor is_left = constant(std::int64_t{1}, DType::u8, {size});  // has taken no branch yet
  for (std::size_t k = 0; k <= predicates; ++k) {
    const Tensor takes = k < predicates ? logical_and(is_left, mapped(operands[k], size)) : is_left;
    is_left = logical_and(is_left, logical_not(takes));
    results = Trace::current()->record_cond(
        any(takes),
        [&](const Tensors&) {
          const std::vector<Batched> values =
              map_over(*instruction.regions[k], with_stand_ins(takes, captures), size);
          Tensors next;
          for (std::size_t i = 0; i < results.size(); ++i)
            next.push_back(chosen(takes, mapped(values[i], size), results[i]));
          return next;
        },
        [&](const Tensors&) { return results; });
  }
  return all_mapped(std::move(results));
}

std::vector<Batched> map_cond(const Instruction& instruction, std::span<const Batched> operands,
                              std::int64_t size) {
  const std::size_t predicates = instruction.predicates;
  if (is_any_mapped(operands.first(predicates))) return choose_each(instruction, operands, size);
  const std::vector<bool> is_mapped = flags(operands.subspan(predicates));
  const Tensors tensors = tensors_of(operands);
  const std::vector<TensorType> types = types_of(std::span(tensors).subspan(predicates));
  Instruction copy = instruction;
  for (RegionPtr& region : copy.regions) {
    region = region_of(types, [&, branch = region](const Tensors& inputs) {
      Tensors outputs;
      for (const Batched& value : map_over(*branch, standing_for(inputs, is_mapped), size))
        outputs.push_back(mapped(value, size));
      return outputs;
    });
  }
  copy.outputs = copy.regions.front()->output_types();
  return all_mapped(emit(copy, tensors));
}

// In the types of the instruction, which may be others than the op's own rules answer.
Tensors map_op(const BatchCall& call) {
  const Batch rule = find_batch_rule(*call.instruction.op);
  Tensors outputs = rule != nullptr ? rule(call) : one_by_one(call);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const DType type = call.instruction.outputs[i].dtype;
    if (outputs[i].dtype() != type) outputs[i] = as_type(outputs[i], type);
  }
  return outputs;
}

// The same instruction over all examples, and so what its region answers.
std::vector<Batched> map_mark(const Instruction& instruction, std::span<const Batched> operands,
                              std::int64_t size) {
  Tensors tensors;
  for (const Batched& value : operands) tensors.push_back(mapped(value, size));
  Instruction copy = instruction;
  for (TensorType& type : copy.outputs) type.shape = with_first(size, type.shape);
  for (RegionPtr& region : copy.regions) {
    if (region == nullptr) continue;
    std::vector<TensorType> types;
    for (const program::Input& input : region->inputs)
      types.push_back({input.type.dtype, with_first(size, input.type.shape)});
    region = region_of(types, [&, inner = region](const Tensors& inputs) {
      Tensors outputs;
      for (const Batched& value : map_over(*inner, all_mapped(inputs), size))
        outputs.push_back(mapped(value, size));
      return outputs;
    });
  }
  return all_mapped(emit(copy, tensors));
}

}  // namespace

Shape BatchCall::shape(std::size_t i) const {
  const Shape& shape = in[i].tensor.shape();
  return in[i].is_mapped ? without_first(shape) : shape;
}

Tensor BatchCall::mapped(std::size_t i) const { return transforms::mapped(in[i], size); }

std::vector<Tensor> BatchCall::all_mapped() const {
  Tensors result;
  for (std::size_t i = 0; i < in.size(); ++i) result.push_back(mapped(i));
  return result;
}

std::vector<Tensor> emit_mapped(const BatchCall& call, std::span<const Tensor> operands,
                                const ops::Attrs& attrs) {
  Instruction copy = call.instruction;
  copy.attrs = attrs;
  for (TensorType& type : copy.outputs) type.shape = with_first(call.size, type.shape);
  return emit(copy, operands);
}

std::vector<Tensor> one_by_one(const BatchCall& call) {
  Tensors initial{constant(std::int64_t{0}, DType::s32)};
  for (const TensorType& type : call.instruction.outputs)
    initial.push_back(zeros({type.dtype, with_first(call.size, type.shape)}));
  Tensors results = Trace::current()->record_while(
      initial, [&](const Tensors& state) { return Tensors{state[0] < call.size}; },
      [&](const Tensors& state) {
        Tensors operands;
        for (const Batched& value : call.in) {
          operands.push_back(value.is_mapped ? squeeze(slice_along_axis(value.tensor, state[0], 1),
                                                       {.axes = Axes{0}})
                                             : value.tensor);
        }
        const Tensors outputs = emit(call.instruction, operands);
        Tensors next{state[0] + 1};
        for (std::size_t i = 0; i < outputs.size(); ++i) {
          std::vector<SliceStart> starts(outputs[i].rank() + 1, std::int64_t{0});
          starts[0] = state[0];
          next.push_back(put_slice(state[i + 1], starts, new_axis(outputs[i], 0)));
        }
        return next;
      });
  results.erase(results.begin());
  return results;
}

Batch find_batch_rule(const ops::OpDef& op) {
  static const auto rules = [] {
    std::unordered_map<const ops::OpDef*, Batch> table;
    for (const auto family : {batch_rules(), contraction_batch_rules()}) {
      for (const BatchRule& rule : family) table.emplace(&ops::op(rule.op), rule.batch);
    }
    return table;
  }();
  const auto found = rules.find(&op);
  return found != rules.end() ? found->second : nullptr;
}

std::vector<Batched> map_through(const Instruction& instruction, std::span<const Batched> operands,
                                 std::int64_t size) {
  if (!is_any_mapped(operands)) {
    const Tensors outputs = emit(instruction, tensors_of(operands));
    return standing_for(outputs, std::vector<bool>(outputs.size(), false));
  }
  const BatchCall call{instruction, operands, size};
  switch (instruction.kind) {
    case InstructionKind::kOp:
      return all_mapped(map_op(call));
    case InstructionKind::kWhile:
      return map_while(instruction, operands, size);
    case InstructionKind::kWhileReverse:
      return map_while_reverse(instruction, operands, size);
    case InstructionKind::kCond:
      return map_cond(instruction, operands, size);
    case InstructionKind::kCheckpoint:
    case InstructionKind::kHook:
    case InstructionKind::kStopGradient:
    case InstructionKind::kCustomVjp:
      return map_mark(instruction, operands, size);
    case InstructionKind::kConstant:
    case InstructionKind::kRuntimeCall:
      break;
  }
  return all_mapped(one_by_one(call));
}

std::vector<Batched> map_over(const Region& region, std::vector<Batched> inputs,
                              std::int64_t size) {
  std::vector<Batched> values = std::move(inputs);
  values.reserve(region.value_count());
  for (const Instruction& instruction : region.instructions) {
    std::vector<Batched> operands;
    for (const ValueId id : instruction.operands) operands.push_back(values[id]);
    const std::vector<Batched> outputs = map_through(instruction, operands, size);
    values.insert(values.end(), outputs.begin(), outputs.end());
  }
  std::vector<Batched> result;
  for (const ValueId id : region.outputs) result.push_back(values[id]);
  return result;
}

}  // namespace mlxnx::transforms
