#include <algorithm>

#include "transforms/algebra.h"
#include "transforms/batch.h"
#include "transforms/geometry.h"

namespace mlxnx::transforms {
namespace {

using Tensors = std::vector<Tensor>;

Axes attr_axes(const BatchCall& call, std::string_view name, std::size_t rank) {
  Axes axes = call.attr<Axes>(name);
  for (std::int64_t& axis : axes) axis = from_front(axis, rank);
  return axes;
}

Axes plus_one(Axes axes) {
  for (std::int64_t& axis : axes) ++axis;
  return axes;
}

Axes with_zero(const Axes& axes) { return with_first(0, plus_one(axes)); }

Tensors dot_rule(const BatchCall& call) {
  const Axes contract1 = attr_axes(call, "contract_axes1", call.rank(0));
  const Axes contract2 = attr_axes(call, "contract_axes2", call.rank(1));
  const Axes batch1 = attr_axes(call, "batch_axes1", call.rank(0));
  const Axes batch2 = attr_axes(call, "batch_axes2", call.rank(1));
  const Tensor& left = call.in[0].tensor;
  const Tensor& right = call.in[1].tensor;
  ops::Attrs attrs = call.instruction.attrs;
  if (batch1.empty() && !call.in[1].is_mapped) {
    attrs.set("contract_axes1", plus_one(contract1));
    return emit_mapped(call, {{left, right}}, attrs);
  }
  if (batch1.empty() && !call.in[0].is_mapped) {
    // The axis of examples comes behind those of the left operand.
    const Tensor result = dot(left, contract1, right, plus_one(contract2));
    const auto axis = static_cast<std::int64_t>(left.rank() - contract1.size());
    Axes order{axis};
    for (const std::int64_t other : other_axes(result.rank(), Axes{axis})) order.push_back(other);
    return {transpose(result, {.axes = order})};
  }
  attrs.set("contract_axes1", plus_one(contract1));
  attrs.set("contract_axes2", plus_one(contract2));
  attrs.set("batch_axes1", with_zero(batch1));
  attrs.set("batch_axes2", with_zero(batch2));
  return emit_mapped(call, {{call.mapped(0), call.mapped(1)}}, attrs);
}

// [examples, a, b…] with examples and axis `axis` (of an example) as one, in that order.
Tensor with_examples_in(const Tensor& tensor, std::size_t axis) {
  Axes order;
  Shape shape;
  for (std::size_t k = 1; k < tensor.rank(); ++k) {
    if (k == axis + 1) order.push_back(0);
    order.push_back(static_cast<std::int64_t>(k));
    shape.push_back(tensor.shape()[k] * (k == axis + 1 ? tensor.shape()[0] : 1));
  }
  return reshape(transpose(tensor, {.axes = order}), shape);
}

// The other way round.
Tensor without_examples_in(const Tensor& tensor, std::size_t axis, std::int64_t size) {
  Shape shape;
  Axes order{static_cast<std::int64_t>(axis)};
  for (std::size_t k = 0; k < tensor.rank(); ++k) {
    if (k == axis) shape.push_back(size);
    shape.push_back(tensor.shape()[k] / (k == axis ? size : 1));
  }
  for (const std::int64_t other : other_axes(shape.size(), order)) order.push_back(other);
  return transpose(reshape(tensor, shape), {.axes = order});
}

// In canonical order, examples are more of a batch, or more groups of channels where each has a
// kernel of its own.
Tensors conv_rule(const BatchCall& call) {
  const std::vector<TensorType> types{{call.in[0].tensor.dtype(), call.shape(0)},
                                      {call.in[1].tensor.dtype(), call.shape(1)}};
  const ops::ConvGeometry geometry = geometry_of(call.instruction, types, &ops::conv_geometry);
  if (geometry.batch_groups > 1) return one_by_one(call);
  const auto canonical = [&](std::size_t i, const Axes& order) {
    if (!call.in[i].is_mapped) return transpose(call.in[i].tensor, {.axes = order});
    return transpose(call.in[i].tensor, {.axes = with_zero(order)});
  };
  Tensor input = canonical(0, geometry.input_order);
  Tensor kernel = canonical(1, geometry.kernel_order);
  Tensor result;
  ConvOptions options = conv_options(geometry.spatial);
  options.feature_group_size = geometry.feature_groups;
  if (!call.in[1].is_mapped) {
    result = without_examples_in(conv(with_examples_in(input, 0), kernel, options), 0, call.size);
  } else {
    if (!call.in[0].is_mapped && geometry.feature_groups == 1) {
      result = without_examples_in(conv(input, with_examples_in(kernel, 0), options), 1, call.size);
    } else {
      if (!call.in[0].is_mapped) {
        input = broadcast(input, with_first(call.size, input.shape()));
      }
      options.feature_group_size = geometry.feature_groups * call.size;
      result = without_examples_in(
          conv(with_examples_in(input, 1), with_examples_in(kernel, 0), options), 1, call.size);
    }
  }
  return {transpose(result, {.axes = with_zero(geometry.output_order)})};
}

}  // namespace

std::span<const BatchRule> contraction_batch_rules() {
  static const std::vector<BatchRule> rules = {{"dot", dot_rule}, {"conv", conv_rule}};
  return rules;
}

}  // namespace mlxnx::transforms
