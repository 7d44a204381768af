#include "ops/axis_views.h"

namespace mlxnx::ops {

using mlxc::Array;

Array slice_axis(const Array& array, const Shape& shape, std::int64_t axis, std::int64_t start,
                 std::int64_t length, std::int64_t stride) {
  const auto at = static_cast<std::size_t>(axis);
  Axes starts(shape.size(), 0), strides(shape.size(), 1), stops = shape;
  starts[at] = start;
  stops[at] = start + (length - 1) * stride + 1;
  strides[at] = stride;
  return mlxc::slice(array, starts, stops, strides);
}

Array reverse_axis(const Array& array, const Shape& shape, std::int64_t axis) {
  const auto at = static_cast<std::size_t>(axis);
  Axes starts(shape.size(), 0), strides(shape.size(), 1), stops = shape;
  starts[at] = shape[at] - 1;
  stops[at] = -shape[at] - 1;
  strides[at] = -1;
  return mlxc::slice(array, starts, stops, strides);
}

}  // namespace mlxnx::ops
