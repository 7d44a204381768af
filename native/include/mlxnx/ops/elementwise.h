// Ops that work element by element. Two operands broadcast: shapes are aligned at the last axis,
// and 1 stretches. Results have Nx's types and, where Nx's reference has a say, its values; each
// function names what differs from C++'s. A plain number beside a tensor takes the tensor's type
// with the operators of operators.h; here it is a tensor of its own type.
#pragma once

#include "mlxnx/tensor.h"

namespace mlxnx {

// Exponentials, logarithms, powers.

/// Exponential of each element.
/// Types: integers become f32. Nx: Nx.exp
///
///     exp(tensor({0.0, 1.0}));  // f32[2] [1.0, 2.7182817]
Tensor exp(const Tensor& tensor);

/// exp(x) - 1 of each element x, exact for small ones.
/// Types: integers become f32. Nx: Nx.expm1
Tensor expm1(const Tensor& tensor);

/// Natural logarithm of each element; NaN of negative real ones.
/// Types: integers become f32. Nx: Nx.log
Tensor log(const Tensor& tensor);

/// log(1 + x) of each element x, exact for small ones.
/// Types: integers become f32. Nx: Nx.log1p
Tensor log1p(const Tensor& tensor);

/// Square root of each element; NaN of negative real ones.
/// Types: integers become f32. Nx: Nx.sqrt
Tensor sqrt(const Tensor& tensor);

/// 1 / sqrt(x) of each element x.
/// Types: integers become f32. Nx: Nx.rsqrt
Tensor rsqrt(const Tensor& tensor);

/// Cube root of each element: the real one of real numbers, the principal one of complex numbers.
/// Types: integers become f32. Nx: Nx.cbrt
Tensor cbrt(const Tensor& tensor);

/// Logistic function, 1 / (1 + exp(-x)), of each element x.
/// Types: integers become f32. Nx: Nx.sigmoid
Tensor sigmoid(const Tensor& tensor);

// Trigonometric and hyperbolic functions, in radians.

/// Sine of each element, right for arguments of any size.
/// Types: integers become f32. Wide integers are not rounded to f32 first. Nx: Nx.sin
Tensor sin(const Tensor& tensor);

/// Cosine of each element, right for arguments of any size.
/// Types: integers become f32. Wide integers are not rounded to f32 first. Nx: Nx.cos
Tensor cos(const Tensor& tensor);

/// Tangent of each element, right for arguments of any size.
/// Types: integers become f32. Wide integers are not rounded to f32 first. Nx: Nx.tan
Tensor tan(const Tensor& tensor);

/// Inverse sine of each element; NaN of real ones outside [-1, 1].
/// Types: integers become f32. Nx: Nx.asin
Tensor asin(const Tensor& tensor);

/// Inverse cosine of each element; NaN of real ones outside [-1, 1].
/// Types: integers become f32. Nx: Nx.acos
Tensor acos(const Tensor& tensor);

/// Inverse tangent of each element.
/// Types: integers become f32. Nx: Nx.atan
Tensor atan(const Tensor& tensor);

/// Hyperbolic sine of each element.
/// Types: integers become f32. Nx: Nx.sinh
Tensor sinh(const Tensor& tensor);

/// Hyperbolic cosine of each element.
/// Types: integers become f32. Nx: Nx.cosh
Tensor cosh(const Tensor& tensor);

/// Hyperbolic tangent of each element.
/// Types: integers become f32. Nx: Nx.tanh
Tensor tanh(const Tensor& tensor);

/// Inverse hyperbolic sine of each element.
/// Types: integers become f32. Nx: Nx.asinh
Tensor asinh(const Tensor& tensor);

/// Inverse hyperbolic cosine of each element; NaN of real ones under 1.
/// Types: integers become f32. Nx: Nx.acosh
Tensor acosh(const Tensor& tensor);

/// Inverse hyperbolic tangent of each element; NaN of real ones outside [-1, 1].
/// Types: integers become f32. Nx: Nx.atanh
Tensor atanh(const Tensor& tensor);

// Error functions.

/// Error function of each element.
/// Types: integers become f32. Throws: TypeError for complex tensors. Nx: Nx.erf
Tensor erf(const Tensor& tensor);

/// 1 - erf(x) of each element x, exact where erf(x) is nearly 1.
/// Types: integers become f32. Throws: TypeError for complex tensors. Nx: Nx.erfc
Tensor erfc(const Tensor& tensor);

/// Inverse error function of each element; NaN outside [-1, 1]. In f64 it has Nx's single-precision
/// formula, good to 1e-7.
/// Types: integers become f32. Throws: TypeError for complex tensors. Nx: Nx.erf_inv
Tensor erf_inv(const Tensor& tensor);

// Sign and rounding.

/// Absolute value of each element, the modulus of complex ones. The lowest signed integer stays
/// itself.
/// Types: unchanged, but c64 becomes f32. Nx: Nx.abs
///
///     abs(tensor({-2, 0, 3}));  // s32[3] [2, 0, 3]
Tensor abs(const Tensor& tensor);

/// Negation of each element; integers wrap, unsigned ones too.
/// Types: unchanged. Nx: Nx.negate
Tensor negate(const Tensor& tensor);

/// -1, 0 or 1 by the sign of each element. As in Nx's reference NaN, both infinities and all
/// complex numbers give 1.
/// Types: unchanged. Nx: Nx.sign
Tensor sign(const Tensor& tensor);

/// Smallest integer that is not less than each element.
/// Types: unchanged. Throws: TypeError for complex tensors. Nx: Nx.ceil
Tensor ceil(const Tensor& tensor);

/// Largest integer that is not greater than each element.
/// Types: unchanged. Throws: TypeError for complex tensors. Nx: Nx.floor
Tensor floor(const Tensor& tensor);

/// Nearest integer to each element; halves go away from zero.
/// Types: unchanged. Throws: TypeError for complex tensors. Nx: Nx.round
///
///     round(tensor({-0.5, 0.5, 2.5}));  // f32[3] [-1.0, 1.0, 3.0]
Tensor round(const Tensor& tensor);

// Complex numbers.

/// Real part of each element.
/// Types: c64 and integers become f32, floats stay. Nx: Nx.real
Tensor real(const Tensor& tensor);

/// Imaginary part of each element; zeros for real tensors.
/// Types: c64 and integers become f32, floats stay. Nx: Nx.imag
Tensor imag(const Tensor& tensor);

/// Complex conjugate of each element.
/// Types: c64. Throws: UnsupportedError for f64, which would need c128. Nx: Nx.conjugate
Tensor conjugate(const Tensor& tensor);

/// Angle of each element in the complex plane, in (-pi, pi].
/// Types: c64 and integers become f32, floats stay. Nx: Nx.phase
Tensor phase(const Tensor& tensor);

// Tests of single elements; 1 where they hold.

/// Whether each element, or a part of it, is NaN.
/// Types: u8. Nx: Nx.is_nan
Tensor is_nan(const Tensor& tensor);

/// Whether each element, or a part of it, is infinite.
/// Types: u8. Nx: Nx.is_infinity
Tensor is_infinity(const Tensor& tensor);

/// Whether each element is zero; NaN is not.
/// Types: u8. Nx: Nx.logical_not
Tensor logical_not(const Tensor& tensor);

// Bits of integers.

/// Every bit inverted.
/// Types: unchanged. Throws: TypeError for anything but integers. Nx: Nx.bitwise_not
Tensor bitwise_not(const Tensor& tensor);

/// Number of zero bits above the highest one bit; the width for 0.
/// Types: unchanged. Throws: TypeError for anything but integers. Nx: Nx.count_leading_zeros
Tensor count_leading_zeros(const Tensor& tensor);

/// Number of one bits.
/// Types: unchanged. Throws: TypeError for anything but integers. Nx: Nx.population_count
Tensor population_count(const Tensor& tensor);

// Arithmetic; integers wrap.

/// Sum.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.add
///
///     add(tensor({1.0, 2.0, 3.0}), tensor({4.0, 5.0, 6.0}));  // f32[3] [5.0, 7.0, 9.0]
Tensor add(const Tensor& left, const Tensor& right);

/// Difference.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.subtract
Tensor subtract(const Tensor& left, const Tensor& right);

/// Product.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.multiply
Tensor multiply(const Tensor& left, const Tensor& right);

/// Quotient as a float. A complex number divided by 0 is NaN, as in Nx.
/// Types: the merge of both; integers become f32. Throws: ShapeError when the shapes don't
/// broadcast. Nx: Nx.divide
Tensor divide(const Tensor& left, const Tensor& right);

/// Integer quotient, truncated. The quotient by 0 is -1 (all bits set), the lowest number divided
/// by -1 itself; Nx raises and wraps.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.quotient
///
///     quotient(tensor({7, -7}), tensor({2, 2}));  // s32[2] [3, -3]
Tensor quotient(const Tensor& left, const Tensor& right);

/// What the truncated quotient leaves, with the sign of `left`. The remainder by the integer 0 is
/// `left` (Nx raises), by the float 0 NaN.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.remainder
///
///     remainder(tensor({7, -7}), tensor({3, 3}));  // s32[2] [1, -1]
Tensor remainder(const Tensor& left, const Tensor& right);

/// `left` to the power `right`. An integer to a negative power (Nx raises) is truncated: 0, unless
/// `left` is 1 or -1.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.pow
Tensor pow(const Tensor& left, const Tensor& right);

/// Angle of the point (`right`, `left`) in radians. Of complex tensors the real parts count.
/// Types: the merge of both; integers become f32. Throws: ShapeError when the shapes don't
/// broadcast. Nx: Nx.atan2
Tensor atan2(const Tensor& left, const Tensor& right);

/// Greater of both; NaN where one is NaN.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.max
Tensor max(const Tensor& left, const Tensor& right);

/// Lesser of both; NaN where one is NaN.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.min
Tensor min(const Tensor& left, const Tensor& right);

// Bits of integers.

/// Bits that both have.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.bitwise_and
Tensor bitwise_and(const Tensor& left, const Tensor& right);

/// Bits that at least one has.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.bitwise_or
Tensor bitwise_or(const Tensor& left, const Tensor& right);

/// Bits that exactly one has.
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.bitwise_xor
Tensor bitwise_xor(const Tensor& left, const Tensor& right);

/// `left` shifted up by `right` bits: 0 where that is the width or more, or negative (Nx raises).
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.left_shift
Tensor left_shift(const Tensor& left, const Tensor& right);

/// `left` shifted down by `right` bits, keeping the sign: 0 or -1 where that is the width or more,
/// or negative (Nx raises).
/// Types: the merge of both. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// anything but integers. Nx: Nx.right_shift
Tensor right_shift(const Tensor& left, const Tensor& right);

// Comparisons, of the numbers themselves: not of what they would become in a common type. NaN
// equals nothing and is neither less nor greater than anything. On a gpu wide integers are compared
// with floats in f32.

/// Whether both are the same number.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast. Nx: Nx.equal
///
///     equal(tensor({1, 2}), tensor({1.0, 2.5}));  // u8[2] [1, 0]
Tensor equal(const Tensor& left, const Tensor& right);

/// Whether they are different numbers.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast. Nx:
/// Nx.not_equal
Tensor not_equal(const Tensor& left, const Tensor& right);

/// left < right.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.less
Tensor less(const Tensor& left, const Tensor& right);

/// left <= right.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.less_equal
Tensor less_equal(const Tensor& left, const Tensor& right);

/// left > right.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.greater
Tensor greater(const Tensor& left, const Tensor& right);

/// left >= right.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast; TypeError for
/// complex tensors. Nx: Nx.greater_equal
Tensor greater_equal(const Tensor& left, const Tensor& right);

// Logic: zero is false, everything else, NaN too, is true.

/// Whether both are true.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast. Nx:
/// Nx.logical_and
Tensor logical_and(const Tensor& left, const Tensor& right);

/// Whether at least one is true.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast. Nx:
/// Nx.logical_or
Tensor logical_or(const Tensor& left, const Tensor& right);

/// Whether exactly one is true.
/// Types: u8: 1 where it holds. Throws: ShapeError when the shapes don't broadcast. Nx:
/// Nx.logical_xor
Tensor logical_xor(const Tensor& left, const Tensor& right);

/// Options of `all_close`; the defaults are Nx's.
struct AllCloseOptions {
  double rtol = 1.0e-5;    ///< tolerance relative to `right`
  double atol = 1.0e-8;    ///< absolute tolerance
  bool equal_nan = false;  ///< whether NaN is close to NaN
};

/// Whether |left - right| <= atol + rtol |right| for all elements; infinities are close to
/// themselves.
/// Shapes: any that broadcast; the result is a scalar. Types: u8. Throws: ShapeError when the
/// shapes don't broadcast. Nx: Nx.all_close
///
///     all_close(tensor({1.0, 2.0}), tensor({1.0, 2.001}), {.atol = 0.01});  // u8 1
Tensor all_close(const Tensor& left, const Tensor& right, const AllCloseOptions& options = {});

}  // namespace mlxnx
