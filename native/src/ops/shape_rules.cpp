#include "ops/shape_rules.h"

#include <algorithm>
#include <string>

#include "mlxnx/error.h"

namespace mlxnx {

namespace ops {

std::int64_t normalise_axis(const Call& call, std::int64_t axis, const Shape& shape) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (axis >= rank || axis < -rank) {
    call.shape_error("axis " + std::to_string(axis) + " is out of bounds for shape " +
                     to_string(shape));
  }
  return axis < 0 ? axis + rank : axis;
}

Axes normalise_axes(const Call& call, const Axes& axes, const Shape& shape) {
  Axes result;
  for (const std::int64_t axis : axes) {
    const std::int64_t known = normalise_axis(call, axis, shape);
    if (std::find(result.begin(), result.end(), known) != result.end()) {
      call.shape_error("axis " + std::to_string(axis) + " is given twice in " + to_string(axes));
    }
    result.push_back(known);
  }
  return result;
}

Shape broadcast_shapes(const Call& call, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const std::size_t offset = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    std::int64_t& dim = result[offset + i];
    if (dim == shorter[i] || shorter[i] == 1) continue;
    if (dim != 1)
      call.shape_error("cannot broadcast tensor of dimensions " + to_string(a) + " to " +
                       to_string(b));
    dim = shorter[i];
  }
  return result;
}

Shape remove_axes(const Shape& shape, const Axes& axes, bool keep_axes) {
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool removed =
        std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(i)) != axes.end();
    if (!removed) {
      result.push_back(shape[i]);
    } else if (keep_axes) {
      result.push_back(1);
    }
  }
  return result;
}

Axes all_axes(std::size_t rank) {
  Axes axes(rank);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = static_cast<std::int64_t>(i);
  return axes;
}

bool contains(const Axes& axes, std::size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
}

Shape pick(const Shape& shape, const Axes& axes) {
  Shape result;
  for (const std::int64_t axis : axes) result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}

std::int64_t count_along(const Shape& shape, const Axes& axes) {
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) count *= shape[static_cast<std::size_t>(axis)];
  return count;
}

Axes row_major_strides(const Shape& shape) {
  Axes strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

namespace shapes {

Shape same(const Call& call) { return call.shape(0); }

Shape broadcast(const Call& call) {
  Shape shape = call.shape(0);
  for (std::size_t i = 1; i < call.size(); ++i)
    shape = broadcast_shapes(call, shape, call.shape(i));
  return shape;
}

}  // namespace shapes
}  // namespace ops
}  // namespace mlxnx
