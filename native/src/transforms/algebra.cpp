#include "transforms/algebra.h"

#include <algorithm>
#include <numeric>

namespace mlxnx::transforms {

Tensor zeros(const TensorType& type) { return constant(std::int64_t{0}, type.dtype, type.shape); }

Tensor conform(Tensor t, const TensorType& value) {
  const DType type = program::cotangent_type(value).dtype;
  const Shape& shape = value.shape;
  if (t.shape() != shape) {
    const std::size_t extra = t.rank() > shape.size() ? t.rank() - shape.size() : 0;
    Axes summed(extra);
    std::iota(summed.begin(), summed.end(), 0);
    for (std::size_t i = 0; i < shape.size() && extra + i < t.rank(); ++i) {
      if (shape[i] == 1 && t.shape()[extra + i] != 1)
        summed.push_back(static_cast<std::int64_t>(extra + i));
    }
    if (t.rank() >= shape.size() && !summed.empty()) {
      const bool are_all_gone = summed.size() == extra;
      t = sum(t, {.axes = summed, .keep_axes = !are_all_gone});
      if (extra > 0 && !are_all_gone) {
        summed.resize(extra);
        t = squeeze(t, {.axes = summed});
      }
    }
    if (t.shape() != shape) t = broadcast(t, shape);
  }
  return t.dtype() == type ? t : as_type(t, type);  // which takes the real part
}

Linear plus(Linear a, Linear b) {
  if (!a) return b;
  if (!b) return a;
  return *a + *b;
}

Tensor continuous(const Tensor& tensor) {
  const DType type = program::cotangent_type(tensor.type()).dtype;
  return tensor.dtype() == type ? tensor : as_type(tensor, type);
}

Axes other_axes(std::size_t rank, const Axes& axes) {
  Axes others;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rank); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) others.push_back(i);
  }
  return others;
}

Axes all_axes(std::size_t rank) {
  Axes axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

Axes inverse(const Axes& axes) {
  Axes result(axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i)
    result[static_cast<std::size_t>(axes[i])] = static_cast<std::int64_t>(i);
  return result;
}

Axes with_first(std::int64_t first, const Axes& rest) {
  Axes result{first};
  result.insert(result.end(), rest.begin(), rest.end());
  return result;
}

std::int64_t from_front(std::int64_t axis, std::size_t rank) {
  return axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
}

Axes axes_of(const Application& call, std::string_view name, std::size_t rank) {
  const auto* given = call.attr_if<Axes>(name);
  if (given == nullptr) return all_axes(rank);
  Axes axes = *given;
  for (std::int64_t& axis : axes) axis = from_front(axis, rank);
  return axes;
}

Tensor cut(const Tensor& tensor, std::int64_t axis, std::int64_t start, std::int64_t length,
           std::int64_t stride) {
  if (length == 0) {
    Shape empty = tensor.shape();
    empty[static_cast<std::size_t>(axis)] = 0;
    return zeros({tensor.dtype(), empty});
  }
  return slice_along_axis(tensor, start, (length - 1) * stride + 1,
                          {.axis = axis, .stride = stride});
}

Tensor widen(const Tensor& tensor, std::int64_t axis, AxisPadding padding, double value) {
  std::vector<AxisPadding> all(tensor.rank());
  all[static_cast<std::size_t>(axis)] = padding;
  return pad(tensor, Tensor(value, tensor.dtype()), all);
}

Tensor swapped(const Tensor& matrix) {
  Axes axes = all_axes(matrix.rank());
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return transpose(matrix, {.axes = axes});
}

Tensor adjoint(const Tensor& matrix) {
  const Tensor result = swapped(matrix);
  return is_complex(matrix.dtype()) ? conjugate(result) : result;
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  const Axes batch = all_axes(a.rank() - 2);
  const auto rank = static_cast<std::int64_t>(a.rank());
  return dot(a, {rank - 1}, batch, b, {rank - 2}, batch);
}

namespace {
// Positions in the last two axes: row - column.
Tensor below(const Tensor& matrix) {
  const Shape square(matrix.shape().end() - 2, matrix.shape().end());
  return iota(square, {.axis = 0}) - iota(square, {.axis = 1});
}
Tensor masked(const Tensor& kept, const Tensor& matrix) {
  return select(broadcast(kept, matrix.shape()), matrix, Tensor(0.0, matrix.dtype()));
}
}  // namespace

Tensor tril(const Tensor& matrix, std::int64_t k) { return masked(below(matrix) >= -k, matrix); }
Tensor triu(const Tensor& matrix, std::int64_t k) { return masked(below(matrix) <= -k, matrix); }

Tensor identity(std::int64_t size, DType type) { return eye(size, {.type = type}); }

Tensor diagonal(const Tensor& matrix) {
  const auto rank = static_cast<std::int64_t>(matrix.rank());
  return sum(masked(below(matrix) == 0, matrix), {.axes = Axes{rank - 1}});
}

}  // namespace mlxnx::transforms
