#include "transforms/batch.h"

#include <algorithm>
#include <unordered_map>

#include "ops/registry.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/parts.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::Trace;
using program::ValueId;

namespace {

Shape without_first(const Shape& shape) { return {shape.begin() + 1, shape.end()}; }

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

// A while, or a while_reverse, over all examples. Where the condition differs by example, each
// leaves the loop when its own says so, and keeps what it holds until all have left; on the way
// back it begins with its own last iteration.
std::vector<Batched> map_loop(const Instruction& instruction, std::span<const Batched> operands,
                              std::int64_t size) {
  const Region& condition = *instruction.regions[0];
  const std::size_t count = instruction.regions[1]->outputs.size();
  const std::size_t known = operands.size() - instruction.values;
  std::vector<bool> is_mapped = around(instruction, flags(operands), depending);
  const auto at = [&](std::size_t i) { return is_mapped.begin() + static_cast<std::ptrdiff_t>(i); };
  const bool is_each = depending(condition, {at(0), at(known)}).front();
  if (is_each) {
    std::fill(at(0), at(count), true);
    std::fill(at(known), is_mapped.end(), true);
  }
  Tensors all;
  for (std::size_t i = 0; i < operands.size(); ++i)
    all.push_back(is_mapped[i] ? mapped(operands[i], size) : operands[i].tensor);
  const std::vector<TensorType> types = types_of(all);
  const std::span<const TensorType> there(types.data(), known);
  const auto holds = [&](const Tensors& in) {
    return map_over(condition, standing_for(std::span(in).first(known), is_mapped), size)
               .front()
               .tensor != 0;
  };
  // Answers what stands from `first` on in the inputs.
  const auto round = [&](const Region& region, const Tensors& in, std::size_t first) {
    std::vector<Batched> inputs = standing_for(in, is_mapped);
    Tensor goes_on;
    if (is_each) {
      goes_on = holds(in);
      inputs = with_stand_ins(goes_on, std::move(inputs));
    }
    const std::vector<Batched> next = map_over(region, std::move(inputs), size);
    Tensors tensors;
    for (std::size_t i = 0; i < next.size(); ++i) {
      const Tensor value = is_mapped[first + i] ? mapped(next[i], size) : next[i].tensor;
      tensors.push_back(is_each ? chosen(goes_on, value, in[first + i]) : value);
    }
    return tensors;
  };
  Instruction copy = instruction;
  copy.regions[0] = region_of(
      there, [&](const Tensors& in) { return Tensors{is_each ? any(holds(in)) : holds(in)}; });
  copy.regions[1] =
      region_of(there, [&](const Tensors& in) { return round(*instruction.regions[1], in, 0); });
  const bool is_reverse = instruction.kind == InstructionKind::kWhileReverse;
  if (is_reverse) {
    copy.regions[2] = region_of(
        types, [&](const Tensors& in) { return round(*instruction.regions[2], in, known); });
  }
  copy.outputs = program::OutputTypes(copy.regions.back()->output_types());
  const std::size_t first = is_reverse ? known : 0;
  return standing_for(emit(copy, all), {at(first), at(first + copy.outputs.size())});
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

// A cond or a checkpoint.
std::vector<Batched> map_pieces(const Instruction& instruction, std::span<const Batched> operands,
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
  copy.outputs = program::OutputTypes(copy.regions.front()->output_types());
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
    for (const auto family : {batch_rules(), contraction_batch_rules(), quantization_batch_rules(),
                              fast_batch_rules()}) {
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
    case InstructionKind::kWhileReverse:
      return map_loop(instruction, operands, size);
    case InstructionKind::kCond:
    case InstructionKind::kCheckpoint:
      return map_pieces(instruction, operands, size);
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
