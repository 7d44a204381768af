#include "mlxnx/ops/shape.h"

#include "api/call.h"
#include "mlxnx/ops/indexing.h"

namespace mlxnx {
namespace {

// An axis of a function that is made of other ops.
std::int64_t known_axis(const char* op, std::int64_t axis, std::int64_t choices,
                        const Shape& shape) {
  if (axis >= -choices && axis < choices) return axis < 0 ? axis + choices : axis;
  throw ShapeError("[" + std::string(op) + "] axis " + std::to_string(axis) +
                   " is out of bounds for shape " + to_string(shape));
}

}  // namespace

Tensor as_type(const Tensor& tensor, DType type) {
  static const ops::OpDef& row = ops::op("as_type");
  if (tensor.dtype() == type) return tensor;
  return ops::invoke(row, {tensor}, {{"type", type}});
}

Tensor bitcast(const Tensor& tensor, DType type) {
  static const ops::OpDef& row = ops::op("bitcast");
  return ops::invoke(row, {tensor}, {{"type", type}});
}

Tensor reshape(const Tensor& tensor, const Shape& shape) {
  static const ops::OpDef& row = ops::op("reshape");
  if (tensor.shape() == shape) return tensor;
  return ops::invoke(row, {tensor}, {{"shape", shape}});
}

Tensor flatten(const Tensor& tensor, const FlattenOptions& options) {
  if (!options.axes) return reshape(tensor, {tensor.size()});
  const Shape& from = tensor.shape();
  Axes axes;
  for (const std::int64_t axis : *options.axes)
    axes.push_back(known_axis("flatten", axis, static_cast<std::int64_t>(from.size()), from));
  if (axes.empty()) return tensor;
  std::int64_t joined = 1;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != axes[0] + static_cast<std::int64_t>(i))
      throw ShapeError("[flatten] the axes must be consecutive, got " + to_string(axes));
    joined *= from[static_cast<std::size_t>(axes[i])];
  }
  Shape to(from.begin(), from.begin() + axes.front());
  to.push_back(joined);
  for (const std::int64_t* dim = from.begin() + axes.back() + 1; dim != from.end(); ++dim)
    to.push_back(*dim);
  return reshape(tensor, to);
}

Tensor new_axis(const Tensor& tensor, std::int64_t axis) {
  Shape shape = tensor.shape();
  const auto choices = static_cast<std::int64_t>(shape.size()) + 1;
  shape.insert(shape.begin() + known_axis("new_axis", axis, choices, tensor.shape()), 1);
  return reshape(tensor, shape);
}

Tensor squeeze(const Tensor& tensor, const SqueezeOptions& options) {
  static const ops::OpDef& row = ops::op("squeeze");
  return ops::invoke(row, {tensor}, axes_attrs(options.axes));
}

Tensor transpose(const Tensor& tensor, const TransposeOptions& options) {
  static const ops::OpDef& row = ops::op("transpose");
  return ops::invoke(row, {tensor}, axes_attrs(options.axes));
}

Tensor reverse(const Tensor& tensor, const ReverseOptions& options) {
  static const ops::OpDef& row = ops::op("reverse");
  return ops::invoke(row, {tensor}, axes_attrs(options.axes));
}

Tensor broadcast(const Tensor& tensor, const Shape& shape, const BroadcastOptions& options) {
  static const ops::OpDef& row = ops::op("broadcast");
  ops::Attrs attrs = axes_attrs(options.axes);
  attrs.set("shape", shape);
  return ops::invoke(row, {tensor}, attrs);
}

Tensor tile(const Tensor& tensor, const Shape& repetitions) {
  Shape dims = tensor.shape();
  Shape times = repetitions;
  while (dims.size() < times.size()) dims.insert(dims.begin(), 1);
  while (times.size() < dims.size()) times.insert(times.begin(), 1);
  // A repeated axis is one of size 1 before it, stretched and joined with it.
  Shape apart, stretched, joined;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (times[i] < 1)
      throw ArgumentError("[tile] repetitions must be at least 1, got " + to_string(repetitions));
    apart.push_back(1);
    apart.push_back(dims[i]);
    stretched.push_back(times[i]);
    stretched.push_back(dims[i]);
    joined.push_back(times[i] * dims[i]);
  }
  return reshape(broadcast(reshape(tensor, apart), stretched), joined);
}

Tensor pad(const Tensor& tensor, const Tensor& value, const std::vector<AxisPadding>& padding) {
  static const ops::OpDef& row = ops::op("pad");
  std::vector<ops::Triple> triples;
  for (const auto& [low, high, interior] : padding) triples.push_back({low, high, interior});
  return ops::invoke(row, {tensor, value}, {{"padding", std::move(triples)}});
}

Tensor concatenate(std::span<const Tensor> tensors, const ConcatenateOptions& options) {
  static const ops::OpDef& row = ops::op("concatenate");
  return ops::invoke(row, tensors, {{"axis", options.axis}});
}

Tensor concatenate(std::initializer_list<Tensor> tensors, const ConcatenateOptions& options) {
  return concatenate(std::span(tensors.begin(), tensors.size()), options);
}

Tensor stack(std::span<const Tensor> tensors, const StackOptions& options) {
  static const ops::OpDef& row = ops::op("stack");
  return ops::invoke(row, tensors, {{"axis", options.axis}});
}

Tensor stack(std::initializer_list<Tensor> tensors, const StackOptions& options) {
  return stack(std::span(tensors.begin(), tensors.size()), options);
}

std::pair<Tensor, Tensor> split(const Tensor& tensor, std::int64_t index,
                                const SplitOptions& options) {
  const Shape& shape = tensor.shape();
  const std::int64_t axis =
      known_axis("split", options.axis, static_cast<std::int64_t>(shape.size()), shape);
  const std::int64_t dim = shape[static_cast<std::size_t>(axis)];
  if (index == 0 || index >= dim || index <= -dim) {
    throw ArgumentError("[split] " + std::to_string(index) + " leaves a part of axis " +
                        std::to_string(axis) + " of " + to_string(shape) + " empty");
  }
  const std::int64_t first = index < 0 ? dim + index : index;
  return {slice_along_axis(tensor, std::int64_t{0}, first, {.axis = axis}),
          slice_along_axis(tensor, first, dim - first, {.axis = axis})};
}

}  // namespace mlxnx
