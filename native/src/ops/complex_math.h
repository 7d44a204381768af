// Functions of complex (c64) arrays, element by element, with the branch cuts of Nx's reference.
// Its inverse functions are textbook formulas, whose cuts differ from C++'s in places and which
// lose all digits in f32; they are computed on real and imaginary parts in f64, on the CPU whatever
// the device. The others are MLX's kernels, which call std::complex functions.
#pragma once

#include "mlxc/graph.h"
#include "ops/op_def.h"

namespace mlxnx::ops::math {

/// A row's function of one c64 array.
using ComplexFunction = mlxc::Array (*)(const mlxc::Array& z);

/// c64 from its parts, two real arrays of one shape.
mlxc::Array complex_of(const mlxc::Array& real, const mlxc::Array& imag);

mlxc::Array complex_expm1(const mlxc::Array& z);
mlxc::Array complex_sigmoid(const mlxc::Array& z);
mlxc::Array complex_rsqrt(const mlxc::Array& z);
mlxc::Array complex_cbrt(const mlxc::Array& z);
mlxc::Array complex_acos(const mlxc::Array& z);
mlxc::Array complex_acosh(const mlxc::Array& z);
mlxc::Array complex_asin(const mlxc::Array& z);
mlxc::Array complex_asinh(const mlxc::Array& z);
mlxc::Array complex_atan(const mlxc::Array& z);
mlxc::Array complex_atanh(const mlxc::Array& z);

/// Evaluator of `pow` where an operand or the output is complex.
mlxc::Array complex_power(const Call& call);

}  // namespace mlxnx::ops::math
