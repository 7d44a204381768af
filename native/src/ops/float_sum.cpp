#include "ops/float_sum.h"

#include <algorithm>
#include <vector>

#include "mlxc/fold_kernels.h"
#include "mlxc/host_kernels.h"
#include "ops/axis_views.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Serial steps that cost a few units in the last place at most, and those of small arrays, whose
// time is that of the graph's nodes.
constexpr std::int64_t kFewSteps = 64;
constexpr std::int64_t kFewStepsOfSmall = 128;
constexpr std::int64_t kSmallSum = 1 << 15;
// Length of the rows that a longer axis is split into.
constexpr std::int64_t kSumRow = 512;
// From so many rows on, a vector of ones as long as these is a small part of the work.
constexpr std::int64_t kManyRows = 32;
// A product with fewer columns leaves the CPU's vectors unused.
constexpr std::int64_t kWide = 256;

Shape with_one(Shape shape, std::int64_t axis) {
  shape[static_cast<std::size_t>(axis)] = 1;
  return shape;
}

Array ones(const Shape& shape, DType type) {
  const std::int64_t count = element_count(shape);
  if (count > 4096) return mlxc::full(shape, constant(1.0, type), type);
  // Data takes no nodes of the graph.
  const auto of = [&]<typename T>(T one) {
    const std::vector<T> values(static_cast<std::size_t>(count), one);
    const mlxc::Ints dims(shape);
    return mlxc::from_bytes(values.data(), {dims.data(), dims.size()}, mlxc::to_mlx(type));
  };
  return type == DType::f64 ? of(1.0) : of(1.0f);
}

// The functions below keep reduced axes, with size 1.
Array sum_kept(const Array& array, const Shape& shape, const Axes& axes);

// A divisor of `length` in [wanted / 2, wanted * 2], near `wanted`; else `wanted`.
std::int64_t part_of(std::int64_t length, std::int64_t wanted) {
  for (std::int64_t away = 0; away <= wanted; ++away) {
    if (away <= wanted / 2 && length % (wanted - away) == 0) return wanted - away;
    if (length % (wanted + away) == 0) return wanted + away;
  }
  return wanted;
}

// Splits `axis` into parts, adds the elements of each (`inside`) or the parts to each other, and
// then what is left of the axis.
Array sum_parts(const Array& array, const Shape& shape, std::int64_t axis, std::int64_t part,
                bool inside) {
  const auto at = static_cast<std::size_t>(axis);
  const std::int64_t parts = shape[at] / part;
  const std::int64_t rest = shape[at] - parts * part;
  Shape split = shape;
  split[at] = parts;
  split.insert(split.begin() + at + 1, part);
  const Array head = rest == 0 ? array : slice_axis(array, shape, axis, 0, parts * part);
  const std::int64_t first = inside ? axis + 1 : axis;
  const Array once = sum_kept(mlxc::reshape(head, split), split, {first});
  Shape left = shape;
  left[at] = inside ? parts : part;
  const Array result = sum_kept(mlxc::squeeze_axes(once, {first}), left, {axis});
  if (rest == 0) return result;
  Shape tail = shape;
  tail[at] = rest;
  return mlxc::add(result,
                   sum_kept(slice_axis(array, shape, axis, parts * part, rest), tail, {axis}));
}

Array sum_rows(const Array& array, const Shape& shape) {
  const std::int64_t length = shape.back();
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  if (length <= kFewSteps) return mlxc::sum(array, {last}, true);
  const std::int64_t part = part_of(length, kSumRow);
  const bool splits = length % part == 0 || element_count(shape) / length < kManyRows;
  if (length >= 4 * kSumRow && splits) return sum_parts(array, shape, last, part, true);
  // MLX joins the leading axes for a single matrix of ones, which copies the elements if these axes
  // do not lie one in the other; so where there are long ones it gets a batch.
  const bool is_batch = last > 1 && shape[shape.size() - 2] > kFewSteps;
  return mlxc::matmul(array,
                      ones(is_batch ? Shape{1, length, 1} : Shape{length, 1}, array.dtype()));
}

Array sum_columns(const Array& array, const Shape& shape, std::int64_t axis) {
  const auto at = static_cast<std::size_t>(axis);
  const std::int64_t length = shape[at];
  if (length <= kFewSteps) return mlxc::sum(array, {axis}, true);
  const std::int64_t width = element_count(Shape(shape.begin() + at + 1, shape.end()));
  if (width < kWide && length >= 4 * kWide)
    return sum_parts(array, shape, axis, part_of(length, 2 * kWide / width), false);
  const Array row = ones({1, length}, array.dtype());
  if (at == 0 && shape.size() == 2) return mlxc::matmul(row, array);
  const Array matrices =
      mlxc::reshape(array, {element_count(shape) / length / width, length, width});
  return mlxc::reshape(mlxc::matmul(row, matrices), with_one(shape, axis));
}

// The last two axes are among the reduced ones.
Array sum_last_two_as_one(const Array& array, const Shape& shape, const Axes& axes) {
  Shape merged = shape;
  merged.pop_back();
  merged.back() *= shape.back();
  const Axes fewer(axes.begin(), axes.end() - 1);
  const Array result = sum_kept(mlxc::reshape(array, merged), merged, fewer);
  return mlxc::expand_dims_axes(result, {static_cast<std::int64_t>(merged.size())});
}

Array sum_kept(const Array& array, const Shape& shape, const Axes& axes) {
  if (count_along(shape, axes) <= kFewSteps) return mlxc::sum(array, axes, true);
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  const bool ends_reduced = axes.back() == last;
  if (ends_reduced && shape.back() <= kFewSteps && axes.size() > 1 &&
      axes[axes.size() - 2] == last - 1)
    return sum_last_two_as_one(array, shape, axes);
  const auto first = ends_reduced ? axes.end() - 1
                                  : std::max_element(axes.begin(), axes.end(), [&](auto a, auto b) {
                                      return shape[static_cast<std::size_t>(a)] <
                                             shape[static_cast<std::size_t>(b)];
                                    });
  const Array result = ends_reduced ? sum_rows(array, shape) : sum_columns(array, shape, *first);
  Axes others = axes;
  others.erase(others.begin() + (first - axes.begin()));
  return others.empty() ? result : sum_kept(result, with_one(shape, *first), others);
}

// The sum of the array whose axes lie in memory in their order.
Array sum_in_memory_order(const Array& array, const Shape& shape, const Axes& axes) {
  const Axes order = array.axis_order();
  if (order.size() != shape.size()) return sum_kept(array, shape, axes);
  Shape ordered;
  Axes ordered_axes, back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto at = static_cast<std::size_t>(order[i]);
    ordered.push_back(shape[at]);
    back[at] = static_cast<std::int64_t>(i);
    if (std::find(axes.begin(), axes.end(), order[i]) != axes.end())
      ordered_axes.push_back(back[at]);
  }
  const Array sum = sum_kept(mlxc::transpose_axes(array, order), ordered, ordered_axes);
  return mlxc::transpose_axes(sum, back);
}

// The parts of complex numbers lie along a last axis of their own: a product with complex ones
// would make NaN of an infinity.
Array sum_complex(const Array& array, Shape shape, const Axes& axes) {
  Shape reduced = shape;
  for (const std::int64_t axis : axes) reduced[static_cast<std::size_t>(axis)] = 1;
  shape.push_back(2);
  reduced.back() *= 2;
  const Array parts = mlxc::reshape(mlxc::view(array, DType::f32), shape);
  return mlxc::view(mlxc::reshape(sum_kept(parts, shape, axes), reduced), DType::c64);
}

}  // namespace

Array sum_floats(const Array& array, const Shape& shape, const Axes& axes, bool keep_axes) {
  // A GPU adds in trees, our own kernels in a wider type.
  const std::int64_t few = element_count(shape) < kSmallSum ? kFewStepsOfSmall : kFewSteps;
  if (!on_cpu() || mlxc::folds_by_kernels(array) || count_along(shape, axes) <= few)
    return mlxc::sum(array, axes, keep_axes);
  if (mlxc::AtOnceScope::is_open()) {
    Array sum = mlxc::host::reduce(kernels::Fold::k_sum, array, axes, keep_axes);
    if (!sum.empty()) return sum;
  }
  const Array result = is_complex(array.dtype()) ? sum_complex(array, shape, axes)
                                                 : sum_in_memory_order(array, shape, axes);
  return keep_axes ? result : mlxc::squeeze_axes(result, axes);
}

}  // namespace mlxnx::ops
