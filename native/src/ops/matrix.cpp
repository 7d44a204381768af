#include "ops/matrix.h"

#include <vector>

namespace mlxnx::ops {

using mlxc::Array;

namespace {

Array slice_of_axis(const Array& a, int axis, int from, int to) {
  const auto dims = a.shape();
  const std::size_t rank = dims.size();
  const std::size_t at = rank + static_cast<std::size_t>(static_cast<std::ptrdiff_t>(axis));
  Shape start(rank, 0), stop(dims.begin(), dims.end()), strides(rank, 1);
  start[at] = from;
  stop[at] = to;
  return mlxc::slice(a, start, stop, strides);
}

}  // namespace

int axis_size(const Array& a, int axis) {
  const auto dims = a.shape();
  return dims[axis < 0 ? dims.size() - static_cast<std::size_t>(-axis)
                       : static_cast<std::size_t>(axis)];
}

Array transpose_matrix(const Array& a) {
  Axes axes(a.rank());
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<std::int64_t>(i);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return mlxc::transpose_axes(a, axes);
}

Array columns(const Array& a, int from, int to) { return slice_of_axis(a, -1, from, to); }
Array rows(const Array& a, int from, int to) { return slice_of_axis(a, -2, from, to); }

Array diagonal(const Array& a) {
  const int n = axis_size(a, -1);
  const Array index = mlxc::reshape(iota(n), {n, 1});
  const auto dims = a.shape();
  Shape shape(dims.begin(), dims.end());
  shape.back() = 1;
  Shape index_shape(shape.size(), 1);
  index_shape[index_shape.size() - 2] = n;
  const Array indices = mlxc::broadcast_to(mlxc::reshape(index, index_shape), shape);
  return mlxc::squeeze_axes(mlxc::take_along_axis(a, indices, -1), {-1});
}

Array new_axis(const Array& a, int axis) { return mlxc::expand_dims_axes(a, {axis}); }

Array iota(int size) { return mlxc::arange(0, size, 1, DType::s32); }

Array all_of_last(const Array& a, int count, bool keep_axes) {
  Axes axes;
  for (int i = count; i > 0; --i) axes.push_back(-i);
  return mlxc::all(a, axes, keep_axes);
}

Array inverse_permutation(const Array& permutation) { return mlxc::argsort(permutation, -1); }

Array take_rows(const Array& a, const Array& indices) {
  const auto dims = a.shape();
  const Array wide = mlxc::broadcast_to(new_axis(indices, -1), Shape(dims.begin(), dims.end()));
  return mlxc::take_along_axis(a, wide, -2);
}

}  // namespace mlxnx::ops
