// What evaluators do with operands all the time. Where nothing has to change the result is a view
// of the operand's handle, which is valid for the length of the call; a view may be returned.
#pragma once

#include "mlxc/graph.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// Operand `i` as the MLX type of its Nx type: an array of MLX's bool becomes u8.
mlxc::Array operand(const Call& call, std::size_t i);

/// Operand `i` cast to `type` as Nx casts (see `convert`).
mlxc::Array operand_as(const Call& call, std::size_t i, DType type);

/// Operand `i` for an op that only moves elements: cast to `type` as Nx casts, but MLX's bool stays
/// where u8 is wanted.
mlxc::Array moved_as(const Call& call, std::size_t i, DType type);

/// Operand `i` as a mask of MLX's bool: true where the element is not zero (NaN is not zero).
mlxc::Array operand_mask(const Call& call, std::size_t i);

/// `array`, whose elements are of `from`, cast to `to` with Nx's rules where C++ and MLX leave them
/// open: a float or complex becomes an integer by truncation, NaN becomes 0 and values beyond the
/// type's range saturate or wrap as in Nx.
mlxc::Array convert(const mlxc::Array& array, DType from, DType to);

/// `array` broadcast to `shape`; the array itself where it has that shape already.
mlxc::Array broadcast_to_shape(const mlxc::Array& array, const Shape& shape);

/// The c64 scalar NaN + NaNi.
mlxc::Array complex_nan();

/// A mask of MLX's bool: whether both parts of each element are finite. MLX's own looks at whole
/// numbers.
mlxc::Array complex_is_finite(const mlxc::Array& array);

/// Dimension sizes of `array` in the form that shape rules use.
Shape shape_of(const mlxc::Array& array);

}  // namespace mlxnx::ops
