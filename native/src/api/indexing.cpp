#include "mlxnx/ops/indexing.h"

#include "api/call.h"

namespace mlxnx {
namespace {

// The attribute `starts`; the tensors among them become operands.
std::vector<ops::Start> start_attrs(const std::vector<SliceStart>& starts,
                                    std::vector<Tensor>& operands) {
  std::vector<ops::Start> result;
  for (const SliceStart& start : starts) {
    if (const auto* tensor = std::get_if<Tensor>(&start)) {
      result.emplace_back(ops::DynamicStart{static_cast<std::int64_t>(operands.size())});
      operands.push_back(*tensor);
    } else {
      result.emplace_back(std::get<std::int64_t>(start));
    }
  }
  return result;
}

}  // namespace

Tensor slice(const Tensor& tensor, const std::vector<SliceStart>& starts, const Shape& lengths,
             const SliceOptions& options) {
  static const ops::OpDef& row = ops::op("slice");
  std::vector<Tensor> operands = {tensor};
  ops::Attrs attrs = {{"starts", start_attrs(starts, operands)}, {"lengths", lengths}};
  if (options.strides) attrs.set("strides", *options.strides);
  return ops::invoke(row, std::span<const Tensor>(operands), attrs);
}

Tensor slice_along_axis(const Tensor& tensor, const SliceStart& start, std::int64_t length,
                        const SliceAlongAxisOptions& options) {
  const auto rank = static_cast<std::int64_t>(tensor.rank());
  if (options.axis >= rank || options.axis < -rank) {
    throw ShapeError("[slice_along_axis] axis " + std::to_string(options.axis) +
                     " is out of bounds for shape " + to_string(tensor.shape()));
  }
  const auto axis = static_cast<std::size_t>(options.axis < 0 ? options.axis + rank : options.axis);
  std::vector<SliceStart> starts(tensor.rank(), std::int64_t{0});
  Shape lengths = tensor.shape();
  Axes strides(tensor.rank(), 1);
  starts[axis] = start;
  lengths[axis] = length;
  strides[axis] = options.stride;
  return slice(tensor, starts, lengths, {.strides = strides});
}

Tensor put_slice(const Tensor& tensor, const std::vector<SliceStart>& starts, const Tensor& slice) {
  static const ops::OpDef& row = ops::op("put_slice");
  std::vector<Tensor> operands = {tensor};
  const ops::Attrs attrs = {{"starts", start_attrs(starts, operands)}};
  operands.push_back(slice);
  return ops::invoke(row, std::span<const Tensor>(operands), attrs);
}

Tensor take(const Tensor& tensor, const Tensor& indices, const TakeOptions& options) {
  static const ops::OpDef& row = ops::op("block:Take");
  return ops::invoke(row, {tensor, indices}, {{"axis", options.axis}});
}

Tensor take_along_axis(const Tensor& tensor, const Tensor& indices,
                       const TakeAlongAxisOptions& options) {
  static const ops::OpDef& row = ops::op("block:TakeAlongAxis");
  return ops::invoke(row, {tensor, indices}, {{"axis", options.axis}});
}

Tensor gather(const Tensor& tensor, const Tensor& indices, const IndexedOptions& options) {
  static const ops::OpDef& row = ops::op("gather");
  return ops::invoke(row, {tensor, indices}, axes_attrs(options.axes));
}

Tensor indexed_add(const Tensor& target, const Tensor& indices, const Tensor& updates,
                   const IndexedOptions& options) {
  static const ops::OpDef& row = ops::op("indexed_add");
  return ops::invoke(row, {target, indices, updates}, axes_attrs(options.axes));
}

Tensor indexed_put(const Tensor& target, const Tensor& indices, const Tensor& updates,
                   const IndexedOptions& options) {
  static const ops::OpDef& row = ops::op("indexed_put");
  return ops::invoke(row, {target, indices, updates}, axes_attrs(options.axes));
}

Tensor select(const Tensor& predicate, const Tensor& on_true, const Tensor& on_false) {
  static const ops::OpDef& row = ops::op("select");
  return ops::invoke(row, {predicate, on_true, on_false});
}

Tensor clip(const Tensor& tensor, const Tensor& min, const Tensor& max) {
  static const ops::OpDef& row = ops::op("clip");
  return ops::invoke(row, {tensor, min, max});
}

}  // namespace mlxnx
