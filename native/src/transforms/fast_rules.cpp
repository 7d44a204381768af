// Fused ops: derivatives are those of the ops that they mean.
#include "ops/invoke.h"
#include "transforms/algebra.h"
#include "transforms/batch.h"

namespace mlxnx::transforms {
namespace {

using Tensors = std::vector<Tensor>;

Linears softmax_forward(const Application& call, std::span<const Linear> tangents) {
  const auto* const given = call.attr_if<Axes>("axes");
  const Axes axes = given != nullptr ? *given : all_axes(call.shape(0).size());
  const Tensor& y = call.out[0];
  const Tensor moved = y * *tangents[0];
  return {moved - y * sum(moved, {.axes = axes, .keep_axes = true})};
}

// ---- many examples

// As the ops that it means.
Tensors composed_for_all(const BatchCall& call) {
  std::vector<TensorType> types;
  for (std::size_t i = 0; i < call.in.size(); ++i)
    types.push_back({call.in[i].tensor.dtype(), call.shape(i)});
  const RegionPtr region = composed(call.instruction, types);
  const Batched result = map_over(*region, {call.in.begin(), call.in.end()}, call.size).front();
  return {result.tensor};
}

bool are_only_first_mapped(const BatchCall& call, std::size_t count) {
  for (std::size_t i = 0; i < call.in.size(); ++i) {
    if (call.in[i].is_mapped != (i < count)) return false;
  }
  return true;
}

// Rows are rows, whatever stands in front of them.
Tensors rows_rule(const BatchCall& call) {
  if (!are_only_first_mapped(call, 1)) return composed_for_all(call);
  Tensors operands;
  for (const Batched& value : call.in) operands.push_back(value.tensor);
  return emit_mapped(call, operands, call.instruction.attrs);
}

// An offset for each example of a batch belongs to the axis in front.
Tensors rope_rule(const BatchCall& call) {
  return call.rank(1) == 0 ? rows_rule(call) : composed_for_all(call);
}

// Examples become part of the batch.
Tensors attention_rule(const BatchCall& call) {
  if (call.in.size() != 3) return composed_for_all(call);
  Tensors operands;
  for (const Tensor& tensor : call.all_mapped()) {
    Shape shape(tensor.shape().begin() + 1, tensor.shape().end());
    shape[0] *= call.size;
    operands.push_back(reshape(tensor, shape));
  }
  Shape shape = call.instruction.outputs[0].shape;
  const ops::OpDef& op = *call.instruction.op;
  const Tensor result = ops::invoke(op, std::span<const Tensor>(operands), call.instruction.attrs);
  return {reshape(result, with_first(call.size, shape))};
}

}  // namespace

std::span<const Rule> fast_rules() {
  static const std::vector<Rule> rules = {
      composed("fast:layer_norm"),
      composed("fast:rms_norm"),
      composed("fast:rope"),
      forward("fast:softmax", softmax_forward),
      composed("fast:scaled_dot_product_attention"),
  };
  return rules;
}

std::span<const BatchRule> fast_batch_rules() {
  static const std::vector<BatchRule> rules = {
      {"fast:layer_norm", rows_rule},
      {"fast:rms_norm", rows_rule},
      {"fast:rope", rope_rule},
      {"fast:scaled_dot_product_attention", attention_rule},
  };
  return rules;
}

}  // namespace mlxnx::transforms
