// Functions of real arrays, element by element, that are right over the whole range of their type.
// MLX's CPU kernels compute exp, sin, cos, sigmoid and erf in f32 whatever the type; what those
// can't do is built here out of the kernels that call libm (pow, tan, log, sqrt). Every function
// takes arrays of floats of the type given and may answer a wider one; the caller of an evaluator
// casts.
#pragma once

#include <span>

#include "mlxc/graph.h"
#include "mlxnx/dtype.h"

namespace mlxnx::ops::math {

/// A row's function of one array of `type`.
using RealFunction = mlxc::Array (*)(const mlxc::Array& x, DType type);

/// MLX's own kernel as a RealFunction.
template <mlxc::Array (*kernel)(const mlxc::Array&)>
mlxc::Array native(const mlxc::Array& x, DType) {
  return kernel(x);
}

/// `x` times, plus, … a number, which takes the type of `x`.
mlxc::Array plus(const mlxc::Array& x, double number, DType type);
mlxc::Array times(const mlxc::Array& x, double number, DType type);

/// c[0] + c[1] x + c[2] x^2 + …, by Horner's rule.
mlxc::Array polynomial(const mlxc::Array& x, std::span<const double> c, DType type);

mlxc::Array exp(const mlxc::Array& x, DType type);
mlxc::Array sigmoid(const mlxc::Array& x, DType type);
mlxc::Array sin(const mlxc::Array& x, DType type);
mlxc::Array cos(const mlxc::Array& x, DType type);
mlxc::Array cbrt(const mlxc::Array& x, DType type);

/// The nearest integer; halves go away from zero.
mlxc::Array round(const mlxc::Array& x, DType type);

/// -1, 0 or 1; as in Nx's reference NaN and both infinities answer 1.
mlxc::Array sign(const mlxc::Array& x, DType type);

/// Error functions (special.cpp).
mlxc::Array erf(const mlxc::Array& x, DType type);
mlxc::Array erfc(const mlxc::Array& x, DType type);
mlxc::Array erf_inv(const mlxc::Array& x, DType type);

}  // namespace mlxnx::ops::math
