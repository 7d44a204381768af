#include "ops/fold.h"

#include <algorithm>

#include "mlxc/fold_kernels.h"
#include "ops/axis_views.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// From this many elements on, another node costs less than a slow reduction.
constexpr std::int64_t kLarge = 1 << 15;
// Length of the rows that are laid onto each other: they stay in the first-level cache.
constexpr std::int64_t kFoldRow = 2048;
// Shorter runs are not worth the call that MLX makes for each of them.
constexpr std::int64_t kShortRun = 256;

Array fold_kept(const Array& array, const Shape& shape, const Axes& axes, const Fold& how);

Shape with_ones(Shape shape, const Axes& axes) {
  for (const std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
  return shape;
}

// Splits `axis` into rows, lays them onto each other, and then folds what is left.
Array fold_rows(const Array& array, const Shape& shape, std::int64_t axis, std::int64_t row,
                const Axes& axes, const Fold& how) {
  const auto at = static_cast<std::size_t>(axis);
  const std::int64_t rows = shape[at] / row;
  const std::int64_t rest = shape[at] - rows * row;
  Shape split = shape;
  split[at] = rows;
  split.insert(split.begin() + at + 1, row);
  const Array head = rest == 0 ? array : slice_axis(array, shape, axis, 0, rows * row);
  const Array sum = fold_kept(mlxc::reshape(head, split), split, {axis}, how);
  Shape one_row = shape;
  one_row[at] = row;
  const Array result = fold_kept(mlxc::squeeze_axes(sum, {axis}), one_row, axes, how);
  if (rest == 0) return result;
  Shape tail = shape;
  tail[at] = rest;
  return how.combine(result,
                     fold_kept(slice_axis(array, shape, axis, rows * row, rest), tail, axes, how));
}

// The last two axes are among the reduced ones.
Array fold_last_two_as_one(const Array& array, const Shape& shape, const Axes& axes,
                           const Fold& how) {
  Shape merged = shape;
  merged.pop_back();
  merged.back() *= shape.back();
  Axes fewer = axes;
  fewer.pop_back();
  const Array result = fold_kept(mlxc::reshape(array, merged), merged, fewer, how);
  return mlxc::expand_dims_axes(result, {static_cast<std::int64_t>(merged.size())});
}

// The last axis is among the reduced ones. Works along those trailing ones that are short enough
// together, after laying the others onto each other.
Array fold_trailing_run(const Array& array, const Shape& shape, const Axes& axes, const Fold& how) {
  std::size_t first = axes.size();
  std::int64_t run = 1;
  const auto next_in_run = [&] {
    const auto expected = static_cast<std::int64_t>(shape.size() - 1 - (axes.size() - first));
    return first > 0 && axes[first - 1] == expected;
  };
  while (next_in_run()) {
    const std::int64_t longer = run * shape[static_cast<std::size_t>(axes[first - 1])];
    if (longer > 4 * kFoldRow) break;
    run = longer;
    --first;
  }
  const Axes inner(axes.begin() + first, axes.end());
  const Axes outer(axes.begin(), axes.begin() + first);
  if (count_along(shape, outer) == 1) return how.reduce(array, axes, true);
  if (run >= kShortRun) return how.reduce(fold_kept(array, shape, outer, how), inner, true);
  if (next_in_run()) return fold_last_two_as_one(array, shape, axes, how);
  return fold_kept(how.reduce(array, inner, true), with_ones(shape, inner), outer, how);
}

Array fold_kept(const Array& array, const Shape& shape, const Axes& axes, const Fold& how) {
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  if (count_along(shape, axes) == 1 || element_count(shape) < kLarge || axes.back() != last)
    return how.reduce(array, axes, true);
  if (shape.back() >= 2 * kFoldRow) return fold_rows(array, shape, last, kFoldRow, axes, how);
  return fold_trailing_run(array, shape, axes, how);
}

}  // namespace

Array fold(const Array& array, const Shape& shape, const Axes& axes, bool keep_axes,
           const Fold& how) {
  if (element_count(shape) < kLarge || mlxc::folds_by_kernels(array))
    return how.reduce(array, axes, keep_axes);
  const Array result = fold_kept(array, shape, axes, how);
  return keep_axes ? result : mlxc::squeeze_axes(result, axes);
}

}  // namespace mlxnx::ops
