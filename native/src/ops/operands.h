// What evaluators do with operands all the time. Where nothing has to change the result is a view
// of the operand's handle, which is valid for the length of the call; a view may be returned.
#pragma once

#include <optional>

#include "mlxc/graph.h"
#include "mlxnx/tensor.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// Operand `i` as the MLX type of its Nx type: an array of MLX's bool becomes u8.
mlxc::Array operand(const Call& call, std::size_t i);

/// Operand `i` cast to `type` as Nx casts (see `convert`).
mlxc::Array operand_as(const Call& call, std::size_t i, DType type);

/// Whether kernels of our own know floats of `type`.
inline bool is_kernel_float(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

/// Operand `i` as kernels of our own take it: as it is where they know its type, else as f32.
mlxc::Array kernel_operand(const Call& call, std::size_t i);

/// Operand `i` for an op that only moves elements: cast to `type` as Nx casts, but MLX's bool stays
/// where u8 is wanted.
mlxc::Array moved_as(const Call& call, std::size_t i, DType type);

/// The attribute `shape`, of an output of the attribute `type`, whose elements can be counted.
/// Throws: ShapeError, UnsupportedError.
Shape shape_attr(const Call& call);

/// The element of operand `i` where it is a scalar and known without evaluating anything. Constants
/// are cast on the host, and guards against values they don't have are left out.
std::optional<Number> known_scalar(const Call& call, std::size_t i);

/// Operand `i` as a mask of MLX's bool: true where the element is not zero (NaN is not zero).
mlxc::Array operand_mask(const Call& call, std::size_t i);

/// `array`, whose elements are of `from`, cast to `to` with Nx's rules where C++ and MLX leave them
/// open. A float becomes an integer by truncation: NaN is 0, infinities saturate, finite values
/// wrap. A float becomes another by rounding once. A complex number keeps its real part.
mlxc::Array convert(const mlxc::Array& array, DType from, DType to);

/// Zeros of a type and shape.
mlxc::Array zeros(const TensorType& type);

/// A scalar of `type`. Unlike mlxc::scalar it takes no graph node for half floats.
mlxc::Array constant(const Number& value, DType type);

/// Whether `value` is exactly one of the values of `type`.
bool holds(DType type, const Number& value);

/// Whether `a` and `b` are the same number, whatever their kinds; NaN is not.
bool same_number(const Number& a, const Number& b);

/// Whether graph nodes built now run on the CPU, the only device with f64.
bool on_cpu();

/// The same floats in memory of their own. A view may begin anywhere, and libraries of GPUs want
/// numbers to begin at whole words.
mlxc::Array realigned(const mlxc::Array& array);

/// The widest float of the current device: f64 or f32.
DType widest_float();

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
