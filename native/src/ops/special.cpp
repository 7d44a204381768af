// The error function, its complement and its inverse.
#include <array>
#include <cmath>
#include <limits>

#include "ops/operands.h"
#include "ops/real_math.h"

namespace mlxnx::ops::math {
namespace {

using mlxc::Array;

// erf(x) / x in powers of x^2 on [0, 1]: interpolation at Chebyshev nodes, relative error 5e-16.
constexpr std::array kErfNearZero = {
    1.12837916709551219,     -0.376126389031744003,   0.112837916705804224,
    -0.0268661705864968724,  0.00522397715410530472,  -0.000854830487178274063,
    0.000120546819183105988, -1.49133009063163957e-5, 1.63103565138717414e-6,
    -1.51882812473351669e-7, 9.4285969568341643e-9,
};

// (1 + 2x) exp(x^2) erfc(x) in powers of (x - 3) / (x + 3) for x >= 1, the variable of Shepherd and
// Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (1981); interpolation at
// Chebyshev nodes, relative error 6e-16.
constexpr std::array kScaledErfc = {
    1.25300805826972966,     -0.135621106124582294,    -0.047562294353473757,
    0.129645158702866546,    -0.119273663412794954,    0.0683080273400052617,
    -0.0237705150033359769,  0.00252939192737833201,   0.00188869164259439299,
    -0.00077983427957760032, -0.000105169579529352262, 0.000125119354622303413,
    4.98469921579933153e-6,  -2.02063193086674471e-5,  -7.58543518416524358e-7,
    3.74587377185925693e-6,  1.91595246340210162e-7,   -8.59442231414777507e-7,
    2.04748435248634148e-7,
};

// erf(x) / x as a quotient in powers of x^2 on [0, 16], for f32: weighted least squares, relative
// error 3e-8 before rounding. All coefficients are positive, so nothing cancels.
constexpr std::array kErfNumerator = {
    1.1283791395351574,    0.19353771556256485,    0.053100471006893295,
    0.0038829378365532853, 0.00028454223304736834, 1.9866576604435362e-06,
};
constexpr std::array kErfDenominator = {
    1.0,
    0.5048508936280356,
    0.11534668801397542,
    0.01520645873103213,
    0.001185444784093139,
    3.7417620413898964e-05,
};

// Giles, "Approximating the erfinv function" (2010), single precision; in powers of w - 2.5 for
// w = -log(1 - x^2) under 5, and of sqrt(w) - 3 above. Nx's reference uses these for f64 too, which
// makes f64 results good to 1e-7 only, and the same as there.
constexpr std::array kErfInvCentre = {
    1.50140941,     0.246640727,   -0.00417768164, -0.00125372503, 0.00021858087,
    -4.39150654e-6, -3.5233877e-6, 3.43273939e-7,  2.81022636e-8,
};
constexpr std::array kErfInvTail = {
    2.83297682,     1.00167406,    0.00943887047,  -0.0076224613,   0.00573950773,
    -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
};

Array clamp(const Array& x, double low, double high, DType type) {
  return mlxc::minimum(mlxc::maximum(x, constant(low, type)), constant(high, type));
}

Array erf_near_zero(const Array& x, DType type) {
  return mlxc::multiply(x, polynomial(mlxc::square(x), kErfNearZero, type));
}

// erfc of numbers >= 1; smaller ones are computed as if they were 1. Above 30 it is 0 in f64 too.
Array erfc_tail(const Array& x, DType type) {
  const Array y = clamp(x, 1, 30, type);
  const Array t = mlxc::divide(plus(y, -3, type), plus(y, 3, type));
  const Array scaled =
      mlxc::divide(polynomial(t, kScaledErfc, type), plus(mlxc::add(y, y), 1, type));
  return mlxc::multiply(exp(mlxc::negative(mlxc::square(y)), type), scaled);
}

// erf by its two ranges, and where the outer one begins.
struct ErfRanges {
  Array is_tail;
  Array near_zero;
  Array tail_of_magnitude;  // erfc(|x|)
  Array is_negative;
  ErfRanges(const Array& x, DType type)
      : near_zero(erf_near_zero(clamp(x, -1, 1, type), type)),
        is_negative(mlxc::less(x, constant(0.0, type))) {
    const Array magnitude = mlxc::abs(x);
    is_tail = mlxc::greater(magnitude, constant(1.0, type));
    tail_of_magnitude = erfc_tail(magnitude, type);
  }
};

}  // namespace

Array erf(const Array& x, DType type) {
  if (!on_cpu()) return mlxc::erf(x);
  if (type != DType::f64) {
    const Array y = clamp(convert(x, type, DType::f32), -4, 4, DType::f32);
    const Array square = mlxc::square(y);
    const Array ratio = mlxc::divide(polynomial(square, kErfNumerator, DType::f32),
                                     polynomial(square, kErfDenominator, DType::f32));
    return clamp(mlxc::multiply(y, ratio), -1, 1, DType::f32);
  }
  const ErfRanges ranges(x, type);
  const Array outer = mlxc::subtract(constant(1.0, type), ranges.tail_of_magnitude);
  const Array with_sign = mlxc::where(ranges.is_negative, mlxc::negative(outer), outer);
  return mlxc::where(ranges.is_tail, with_sign, ranges.near_zero);
}

Array erfc(const Array& x, DType type) {
  const DType wide = widest_float();
  const Array y = convert(x, type, wide);
  const ErfRanges ranges(y, wide);
  const Array inner = mlxc::subtract(constant(1.0, wide), ranges.near_zero);
  const Array reflected = mlxc::subtract(constant(2.0, wide), ranges.tail_of_magnitude);
  const Array outer = mlxc::where(ranges.is_negative, reflected, ranges.tail_of_magnitude);
  return mlxc::where(ranges.is_tail, outer, inner);
}

Array erf_inv(const Array& x, DType type) {
  if (type != DType::f64) return mlxc::erfinv(x);
  const Array one = constant(1.0, type);
  const Array w =
      mlxc::negative(mlxc::log(mlxc::multiply(mlxc::subtract(one, x), mlxc::add(one, x))));
  const Array centre = polynomial(plus(w, -2.5, type), kErfInvCentre, type);
  const Array tail = polynomial(plus(mlxc::sqrt(w), -3, type), kErfInvTail, type);
  const Array factor = mlxc::where(mlxc::less(w, constant(5.0, type)), centre, tail);
  const Array infinity = constant(std::numeric_limits<double>::infinity(), type);
  const Array is_end = mlxc::equal(mlxc::abs(x), one);
  return mlxc::multiply(x, mlxc::where(is_end, infinity, factor));
}

}  // namespace mlxnx::ops::math
