// Nx's shape rules as pure functions; see Nx.Shape. Axis handling lives here and nowhere else.
#pragma once

#include <string_view>

#include "mlxnx/shape.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// `axis` with negative values counted from the last.
/// Throws: ShapeError when `shape` has no such axis.
std::int64_t normalise_axis(const Call& call, std::int64_t axis, const Shape& shape);

/// Every axis normalised, in the given order.
/// Throws: ShapeError for an unknown or repeated axis.
Axes normalise_axes(const Call& call, const Axes& axes, const Shape& shape);

/// The shape that `a` and `b` broadcast to, aligned at the last axis.
/// Throws: ShapeError when they don't.
Shape broadcast_shapes(const Call& call, const Shape& a, const Shape& b);

/// `shape` without `axes` (normalised), or with 1 in their place.
Shape remove_axes(const Shape& shape, const Axes& axes, bool keep_axes);

/// 0, 1, …, rank - 1.
Axes all_axes(std::size_t rank);

/// Whether `axis` is one of `axes` (normalised).
bool contains(const Axes& axes, std::size_t axis);

/// The sizes of `axes` (normalised), in their order.
Shape pick(const Shape& shape, const Axes& axes);

/// How many elements there are along `axes` (normalised) together.
std::int64_t count_along(const Shape& shape, const Axes& axes);

/// Row-major strides of `shape`, in elements.
Axes row_major_strides(const Shape& shape);

/// Shape rules of whole calls, for `infer<…>` in op rows.
namespace shapes {
Shape same(const Call& call);       ///< the first operand's shape
Shape broadcast(const Call& call);  ///< what all operands broadcast to
}  // namespace shapes

}  // namespace mlxnx::ops
