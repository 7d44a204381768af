// What rules and transforms have in common over tensors.
#pragma once

#include "mlxnx/mlxnx.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {

/// Zeros of a type and shape.
Tensor zeros(const TensorType& type);

/// `t` as a tangent or cotangent of a value of this type: summed over what the value was broadcast
/// to, broadcast where it is smaller, its real part for real values, and cast.
Tensor conform(Tensor t, const TensorType& value);

/// The sum of both; none where both are none.
Linear plus(Linear a, Linear b);

/// Integers as f32, so that powers and quotients are no integer ones.
Tensor continuous(const Tensor& tensor);

/// All axes of a rank but some, in order.
Axes other_axes(std::size_t rank, const Axes& axes);
/// 0, 1, …, rank - 1.
Axes all_axes(std::size_t rank);
/// The permutation that undoes `axes`.
Axes inverse(const Axes& axes);
/// The list with another number in front.
Axes with_first(std::int64_t first, const Axes& rest);
/// A nonnegative axis.
std::int64_t from_front(std::int64_t axis, std::size_t rank);
/// The attribute `axes` or, where it is nil, all axes; nonnegative.
Axes axes_of(const Application& call, std::string_view name, std::size_t rank);

/// Along one axis: `length` elements from `start` on, each `stride`-th.
Tensor cut(const Tensor& tensor, std::int64_t axis, std::int64_t start, std::int64_t length,
           std::int64_t stride = 1);
/// Zeros, or `value`, put around and between the elements of one axis; negative widths cut off.
Tensor widen(const Tensor& tensor, std::int64_t axis, AxisPadding padding, double value = 0);

/// The last two axes swapped.
Tensor swapped(const Tensor& matrix);
/// The same and conjugated.
Tensor adjoint(const Tensor& matrix);
/// Products of matrices in the last two axes, for each position of those before.
Tensor matmul(const Tensor& a, const Tensor& b);
/// The last two axes, zero above (below) the k-th diagonal.
Tensor tril(const Tensor& matrix, std::int64_t k = 0);
Tensor triu(const Tensor& matrix, std::int64_t k = 0);
/// 1 on the diagonal of square matrices of this size and 0 elsewhere.
Tensor identity(std::int64_t size, DType type);
/// The diagonal of the last two axes.
Tensor diagonal(const Tensor& matrix);

}  // namespace mlxnx::transforms
