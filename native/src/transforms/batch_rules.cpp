#include <algorithm>

#include "ops/registry.h"
#include "transforms/algebra.h"
#include "transforms/batch.h"

namespace mlxnx::transforms {
namespace {

using Tensors = std::vector<Tensor>;

// One axis further, for the axis of examples in front.
Axes shifted(Axes axes, std::size_t rank) {
  for (std::int64_t& axis : axes) axis = from_front(axis, rank) + 1;
  return axes;
}

// The attributes with another value of one.
ops::Attrs with(const BatchCall& call, std::string_view name, ops::AttrValue value) {
  ops::Attrs attrs = call.instruction.attrs;
  attrs.set(name, std::move(value));
  return attrs;
}

// An axis moved to the front.
Tensor to_front(const Tensor& tensor, std::int64_t axis) {
  Axes order = other_axes(tensor.rank(), Axes{axis});
  return axis == 0 ? tensor : transpose(tensor, {.axes = with_first(axis, order)});
}

// Operands of fewer axes than the result are aligned at the last one.
Tensor aligned(const BatchCall& call, std::size_t i, std::size_t rank) {
  const Batched& value = call.in[i];
  if (!value.is_mapped || call.rank(i) == rank) return value.tensor;
  Shape shape = value.tensor.shape();
  for (std::size_t k = call.rank(i); k < rank; ++k) shape.insert(shape.begin() + 1, 1);
  return reshape(value.tensor, shape);
}

Tensors elementwise(const BatchCall& call) {
  const std::size_t rank = call.instruction.outputs[0].shape.size();
  Tensors operands;
  for (std::size_t i = 0; i < call.in.size(); ++i) operands.push_back(aligned(call, i, rank));
  return emit_mapped(call, operands, call.instruction.attrs);
}

// All three as large as the result: a scalar predicate would choose for all examples.
Tensors select_rule(const BatchCall& call) {
  const Shape& shape = call.instruction.outputs[0].shape;
  const Shape all = with_first(call.size, shape);
  Tensors operands;
  for (std::size_t i = 0; i < 3; ++i)
    operands.push_back(broadcast(aligned(call, i, shape.size()), all));
  return emit_mapped(call, operands, call.instruction.attrs);
}

// Bounds that differ by example are no scalars any more.
Tensors clip_rule(const BatchCall& call) {
  if (!call.in[1].is_mapped && !call.in[2].is_mapped) return elementwise(call);
  const std::size_t rank = call.rank(0);
  const Tensor x = call.mapped(0);
  const Tensor low = aligned(call, 1, rank), high = aligned(call, 2, rank);
  const auto wide = [&](const Tensor& tensor) { return broadcast(tensor, x.shape()); };
  const Tensor raised = select(wide(x >= low), x, wide(low));
  const Tensor result = select(wide(raised > high), wide(high), raised);
  return {as_type(result, call.instruction.outputs[0].dtype)};
}

Tensors reshape_rule(const BatchCall& call) {
  return {reshape(call.in[0].tensor, with_first(call.size, call.instruction.outputs[0].shape))};
}

Tensors broadcast_rule(const BatchCall& call) {
  const Shape& shape = call.instruction.outputs[0].shape;
  Axes axes;
  if (const auto* given = call.attr_if<Axes>("axes")) {
    axes = shifted(*given, shape.size());
  } else {
    const std::size_t missing = shape.size() - call.rank(0);
    for (std::size_t k = 0; k < call.rank(0); ++k)
      axes.push_back(static_cast<std::int64_t>(missing + k) + 1);
  }
  return {
      broadcast(call.in[0].tensor, with_first(call.size, shape), {.axes = with_first(0, axes)})};
}

Tensors transpose_rule(const BatchCall& call) {
  const std::size_t rank = call.rank(0);
  Axes axes;
  if (const auto* given = call.attr_if<Axes>("axes")) {
    axes = *given;
  } else {
    axes = all_axes(rank);
    std::reverse(axes.begin(), axes.end());
  }
  return {transpose(call.in[0].tensor, {.axes = with_first(0, shifted(axes, rank))})};
}

// The attribute `axes`, all of an example's where it is nil.
template <typename Rule>
Axes shifted_axes(const Rule& call) {
  const std::size_t rank = call.rank(0);
  const auto* axes = call.template attr_if<Axes>("axes");
  return shifted(axes != nullptr ? *axes : all_axes(rank), rank);
}

// Along some axes of the one operand; none is left where an example is a scalar.
Tensors along_axes(const BatchCall& call) {
  return emit_mapped(call, {{call.in[0].tensor}}, with(call, "axes", shifted_axes(call)));
}

// Along one axis.
Tensors along_axis(const BatchCall& call) {
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), call.rank(0)) + 1;
  return emit_mapped(call, call.all_mapped(), with(call, "axis", axis));
}

Tensors stack_rule(const BatchCall& call) {
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), call.rank(0) + 1) + 1;
  return emit_mapped(call, call.all_mapped(), with(call, "axis", axis));
}

// Without an axis it is the place in an example's flat tensor.
Tensors arg_extreme(const BatchCall& call) {
  if (call.attr_if<std::int64_t>("axis") != nullptr) return along_axis(call);
  const Tensor flat = reshape(call.in[0].tensor, {call.size, -1});
  ops::Attrs attrs = with(call, "axis", std::int64_t{1});
  attrs.set("keep_axis", false);
  return emit_mapped(call, {{flat}}, attrs);
}

Tensors pad_rule(const BatchCall& call) {
  std::vector<AxisPadding> padding(1);
  for (const auto& [low, high, interior] : call.attr<std::vector<ops::Triple>>("padding"))
    padding.push_back({low, high, interior});
  const Tensor x = call.mapped(0);
  if (!call.in[1].is_mapped) return {pad(x, call.in[1].tensor, padding)};
  const Tensor padded = pad(x, Tensor(std::int64_t{0}, call.in[1].tensor.dtype()), padding);
  // A cast of the result is one of the operands too, where the op knows how.
  if (padded.dtype() != call.instruction.outputs[0].dtype) return one_by_one(call);
  const Tensor inside = pad(constant(std::int64_t{1}, DType::u8, x.shape()),
                            Tensor(std::int64_t{0}, DType::u8), padding);
  const Tensor value = broadcast(aligned(call, 1, call.rank(0)), padded.shape());
  return {select(inside, padded, as_type(value, padded.dtype()))};
}

std::vector<ops::Start> starts_with_zero(const BatchCall& call) {
  std::vector<ops::Start> starts = call.attr<std::vector<ops::Start>>("starts");
  starts.insert(starts.begin(), std::int64_t{0});
  return starts;
}

bool are_starts_mapped(const BatchCall& call) {
  const auto& starts = call.attr<std::vector<ops::Start>>("starts");
  return std::any_of(starts.begin(), starts.end(), [&](const ops::Start& start) {
    const auto* dynamic = std::get_if<ops::DynamicStart>(&start);
    return dynamic != nullptr && call.in[static_cast<std::size_t>(dynamic->operand)].is_mapped;
  });
}

Tensors slice_rule(const BatchCall& call) {
  if (are_starts_mapped(call)) return one_by_one(call);
  ops::Attrs attrs = with(call, "starts", starts_with_zero(call));
  attrs.set("lengths", with_first(call.size, call.attr<Axes>("lengths")));
  if (const auto* strides = call.attr_if<Axes>("strides"))
    attrs.set("strides", with_first(1, *strides));
  Tensors operands;
  for (const Batched& value : call.in) operands.push_back(value.tensor);
  operands.front() = call.mapped(0);
  return emit_mapped(call, operands, attrs);
}

Tensors put_slice_rule(const BatchCall& call) {
  if (are_starts_mapped(call)) return one_by_one(call);
  Tensors operands;
  for (const Batched& value : call.in) operands.push_back(value.tensor);
  operands.front() = call.mapped(0);
  operands.back() = call.mapped(call.in.size() - 1);
  return emit_mapped(call, operands, with(call, "starts", starts_with_zero(call)));
}

// Indices with the number of the example in front, which small types can't count.
Tensor with_example(const Tensor& indices) {
  Shape shape = indices.shape();
  shape.back() = 1;
  const DType type = size_bytes(indices.dtype()) < 4 ? DType::s32 : indices.dtype();
  return concatenate({iota(shape, {.axis = 0, .type = type}), as_type(indices, type)},
                     {.axis = static_cast<std::int64_t>(shape.size()) - 1});
}

Axes index_axes(const BatchCall& call, std::int64_t depth) {
  if (const auto* axes = call.attr_if<Axes>("axes")) return *axes;
  return all_axes(static_cast<std::size_t>(depth));
}

Tensors gather_rule(const BatchCall& call) {
  const Tensor& indices = call.in[1].tensor;
  const Axes axes = shifted(index_axes(call, indices.shape().back()), call.rank(0));
  if (!call.in[0].is_mapped)
    return emit_mapped(call, {{call.in[0].tensor, indices}}, call.instruction.attrs);
  if (call.in[1].is_mapped)
    return {gather(call.in[0].tensor, with_example(indices), {.axes = with_first(0, axes)})};
  const Tensor result = gather(call.in[0].tensor, indices, {.axes = axes});
  return {to_front(result, static_cast<std::int64_t>(indices.rank()) - 1)};
}

// indexed_add and indexed_put: all examples as rows of one list of updates.
Tensors indexed_rule(const BatchCall& call) {
  const Tensor target = call.mapped(0), indices = call.mapped(1), updates = call.mapped(2);
  const std::int64_t depth = indices.shape().back();
  const Axes axes = with_first(0, shifted(index_axes(call, depth), call.rank(0)));
  const Tensor rows = call.rank(1) == 1 ? new_axis(indices, 1) : indices;
  const std::int64_t count = rows.shape()[1];
  Shape flat{call.size * count};
  const std::size_t batch = call.rank(1) - 1;
  const Shape update = call.shape(2);
  flat.insert(flat.end(), update.begin() + batch, update.end());
  const Tensors operands{target, reshape(with_example(rows), {call.size * count, depth + 1}),
                         reshape(updates, flat)};
  return emit_mapped(call, operands, with(call, "axes", axes));
}

Tensors take_rule(const BatchCall& call) {
  const std::size_t rank = call.rank(0);
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), rank);
  const Tensor& x = call.in[0].tensor;
  const Tensor& indices = call.in[1].tensor;
  if (!call.in[1].is_mapped) return {take(x, indices, {.axis = axis + 1})};
  if (!call.in[0].is_mapped) return {to_front(take(x, indices, {.axis = axis}), axis)};
  const Tensor picked = gather(x, with_example(new_axis(indices, -1)), {.axes = Axes{0, axis + 1}});
  // [examples, indices…, axes before, axes behind]
  const auto taken = static_cast<std::int64_t>(call.rank(1));
  Axes order{0};
  for (std::int64_t k = 0; k < axis; ++k) order.push_back(1 + taken + k);
  for (std::int64_t k = 0; k < taken; ++k) order.push_back(1 + k);
  for (std::int64_t k = axis + 1; k < static_cast<std::int64_t>(rank); ++k)
    order.push_back(taken + k);
  return {transpose(picked, {.axes = order})};
}

// The function's captures and the accumulator are scalars for all examples.
bool is_only_tensor_mapped(const BatchCall& call) {
  return std::none_of(call.in.begin() + 1, call.in.end(),
                      [](const Batched& value) { return value.is_mapped; });
}

Tensors reduce_rule(const BatchCall& call) {
  if (!is_only_tensor_mapped(call)) return one_by_one(call);
  Tensors operands;
  for (const Batched& value : call.in) operands.push_back(value.tensor);
  ops::Attrs attrs = with(call, "axes", shifted_axes(call));
  // Of a scalar all axes are none, but a list of none would leave the function out.
  if (call.rank(0) == 0 && call.attr_if<Axes>("axes") == nullptr) {
    operands[0] = new_axis(operands[0], 1);
    attrs.set("axes", Axes{1});
    attrs.set("keep_axes", false);
  }
  return emit_mapped(call, operands, attrs);
}

ops::Attrs window_attrs(const BatchCall& call) {
  ops::Attrs attrs = with(call, "window", with_first(1, call.attr<Axes>("window")));
  auto padding = call.attr<std::vector<ops::Pair>>("padding");
  if (!padding.empty()) padding.insert(padding.begin(), ops::Pair{0, 0});
  attrs.set("padding", padding);
  for (const char* name : {"strides", "window_dilations"}) {
    const auto* values = call.attr_if<Axes>(name);
    if (values != nullptr && !values->empty()) attrs.set(name, with_first(1, *values));
  }
  return attrs;
}

Tensors window_rule(const BatchCall& call) {
  if (!is_only_tensor_mapped(call)) return one_by_one(call);
  Tensors operands;
  for (const Batched& value : call.in) operands.push_back(value.tensor);
  return emit_mapped(call, operands, window_attrs(call));
}

Tensors window_scatter_rule(const BatchCall& call) {
  if (call.in[2].is_mapped) return one_by_one(call);
  return emit_mapped(call, {{call.mapped(0), call.mapped(1), call.in[2].tensor}},
                     window_attrs(call));
}

// Ops on the last axes, for each position of those before.
Tensors on_last_axes(const BatchCall& call) {
  return emit_mapped(call, call.all_mapped(), call.instruction.attrs);
}

Tensors fft2_rule(const BatchCall& call) {
  return emit_mapped(call, {{call.in[0].tensor}}, with(call, "axes", shifted_axes(call)));
}

}  // namespace

std::span<const BatchRule> batch_rules() {
  static const std::vector<BatchRule> rules = [] {
    std::vector<BatchRule> table = {
        {"select", select_rule},
        {"clip", clip_rule},
        {"as_type", elementwise},
        {"bitcast", elementwise},
        {"broadcast", broadcast_rule},
        {"concatenate", along_axis},
        {"pad", pad_rule},
        {"reshape", reshape_rule},
        {"reverse", along_axes},
        {"squeeze", reshape_rule},
        {"stack", stack_rule},
        {"transpose", transpose_rule},
        {"put_slice", put_slice_rule},
        {"slice", slice_rule},
        {"gather", gather_rule},
        {"indexed_add", indexed_rule},
        {"indexed_put", indexed_rule},
        {"block:Take", take_rule},
        {"block:TakeAlongAxis", along_axis},
        {"fast:softmax", along_axes},
        {"all", along_axes},
        {"any", along_axes},
        {"sum", along_axes},
        {"product", along_axes},
        {"reduce_max", along_axes},
        {"reduce_min", along_axes},
        {"argmax", arg_extreme},
        {"argmin", arg_extreme},
        {"reduce", reduce_rule},
        {"block:CumulativeSum", along_axis},
        {"block:CumulativeProduct", along_axis},
        {"block:CumulativeMin", along_axis},
        {"block:CumulativeMax", along_axis},
        {"window_sum", window_rule},
        {"window_product", window_rule},
        {"window_max", window_rule},
        {"window_min", window_rule},
        {"window_reduce", window_rule},
        {"window_scatter_max", window_scatter_rule},
        {"window_scatter_min", window_scatter_rule},
        {"sort", along_axis},
        {"argsort", along_axis},
        {"block:TopK", on_last_axes},
        {"fft", along_axis},
        {"ifft", along_axis},
        {"block:FFT2", fft2_rule},
        {"block:IFFT2", fft2_rule},
        {"block:RFFT", along_axis},
        {"block:IRFFT", along_axis},
        {"triangular_solve", on_last_axes},
        {"block:LinAlg.Cholesky", on_last_axes},
        {"block:LinAlg.Determinant", on_last_axes},
        {"block:LinAlg.Eigh", on_last_axes},
        {"block:LinAlg.LU", on_last_axes},
        {"block:LinAlg.QR", on_last_axes},
        {"block:LinAlg.SVD", on_last_axes},
        {"block:LinAlg.Solve", on_last_axes},
    };
    for (const ops::OpDef* op : ops::all_ops()) {
      const bool is_elementwise =
          op->group == ops::Group::kUnary || op->group == ops::Group::kBinary;
      if (is_elementwise && op->name != "block:AllClose") table.push_back({op->name, elementwise});
    }
    return table;
  }();
  return rules;
}

}  // namespace mlxnx::transforms
