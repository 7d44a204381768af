// Shapes, axes and tensor types: values that describe a tensor without holding one. Pure: no MLX,
// no device.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "mlxnx/dtype.h"
#include "mlxnx/inline_vector.h"

namespace mlxnx {

/// Dimensions, outermost first; an empty shape is a scalar.
using Shape = InlineVector<std::int64_t, 6>;

/// Axis numbers; where a function takes axes, negative ones count from the last.
using Axes = InlineVector<std::int64_t, 6>;

/// Type and shape of a tensor.
struct TensorType {
  DType dtype = DType::f32;
  Shape shape;

  friend bool operator==(const TensorType&, const TensorType&) = default;
};

/// Number of elements of `shape`: the product of its dimensions, 1 for a scalar.
/// Throws: ShapeError when a dimension is negative or the product does not fit 63 bits.
std::int64_t element_count(std::span<const std::int64_t> shape);

/// `{2, 3}` as Nx prints shapes; a one-element shape prints as `{2}`.
std::string to_string(std::span<const std::int64_t> shape);

/// `f32[2][3]` as Nx prints types.
std::string to_string(const TensorType& type);

}  // namespace mlxnx
