#include "ops/complex_math.h"

#include "mlxc/engine.h"
#include "ops/operands.h"
#include "ops/real_math.h"

namespace mlxnx::ops::math {
namespace {

using mlxc::Array;

constexpr DType kWide = DType::f64;

// Puts what is built in its scope on the CPU stream.
class OnCpu {
 public:
  OnCpu() : scope_(mlxc::Engine::current().stream(Device::kCpu)) {}

 private:
  mlxc::StreamScope scope_;
};

Array number(double value) { return constant(value, kWide); }

// Complex numbers as two f64 arrays. The range of c64 leaves room for squares without scaling.
struct Parts {
  Array re;
  Array im;
};

Parts parts_of(const Array& z) {
  return {mlxc::astype(mlxc::real(z), kWide), mlxc::astype(mlxc::imag(z), kWide)};
}

Parts operator+(const Parts& a, const Parts& b) {
  return {mlxc::add(a.re, b.re), mlxc::add(a.im, b.im)};
}

Parts operator-(const Parts& a, const Parts& b) {
  return {mlxc::subtract(a.re, b.re), mlxc::subtract(a.im, b.im)};
}

Parts operator/(const Parts& a, const Parts& b) {
  const Array norm = mlxc::add(mlxc::square(b.re), mlxc::square(b.im));
  const Array re = mlxc::add(mlxc::multiply(a.re, b.re), mlxc::multiply(a.im, b.im));
  const Array im = mlxc::subtract(mlxc::multiply(a.im, b.re), mlxc::multiply(a.re, b.im));
  return {mlxc::divide(re, norm), mlxc::divide(im, norm)};
}

Parts square(const Parts& z) {
  const Array product = mlxc::multiply(z.re, z.im);
  return {mlxc::subtract(mlxc::square(z.re), mlxc::square(z.im)), mlxc::add(product, product)};
}

// Sums with 1. Where the imaginary part is a zero its sign says on which side of a branch cut the
// number lies; these leave the sign that Nx's reference leaves.
Parts minus_one(const Parts& z) { return {plus(z.re, -1, kWide), z.im}; }
Parts one_plus(const Parts& z) { return {plus(z.re, 1, kWide), plus(z.im, 0, kWide)}; }
Parts one_minus(const Parts& z) {
  return {mlxc::subtract(number(1), z.re), mlxc::subtract(number(0), z.im)};
}

Parts times_i(const Parts& z) { return {mlxc::negative(z.im), z.re}; }
Parts times_minus_i(const Parts& z) { return {z.im, mlxc::negative(z.re)}; }

Array magnitude(const Parts& z) {
  return mlxc::sqrt(mlxc::add(mlxc::square(z.re), mlxc::square(z.im)));
}

Array angle(const Parts& z) { return mlxc::arctan2(z.im, z.re); }

Parts log(const Parts& z) { return {mlxc::log(magnitude(z)), angle(z)}; }

// The root with a real part that is not negative; on the cut the imaginary part isn't either, even
// where z.im is -0.
Parts sqrt(const Parts& z) {
  const Array zero = number(0);
  const Array w = mlxc::sqrt(times(mlxc::add(mlxc::abs(z.re), magnitude(z)), 0.5, kWide));
  const Array other = mlxc::divide(z.im, mlxc::add(w, w));
  const Array signed_w = mlxc::where(mlxc::less(z.im, zero), mlxc::negative(w), w);
  const Array is_right = mlxc::greater_equal(z.re, zero);
  const Array im_is_infinite = mlxc::isinf(z.im);
  const Array keeps_im = mlxc::logical_or(im_is_infinite, mlxc::equal(w, zero));
  return {mlxc::where(mlxc::logical_or(is_right, im_is_infinite), w, mlxc::abs(other)),
          mlxc::where(keeps_im, z.im, mlxc::where(is_right, other, signed_w))};
}

// 0 where `z` is finite, else NaN: Nx's reference has no inverse functions of infinities.
Array nan_unless_finite(const Parts& z) {
  return mlxc::add(mlxc::subtract(z.re, z.re), mlxc::subtract(z.im, z.im));
}

Array join(const Parts& z) { return complex_of(z.re, z.im); }

Array join_if_finite(const Parts& result, const Parts& z) {
  const Array nan = nan_unless_finite(z);
  return complex_of(mlxc::add(result.re, nan), mlxc::add(result.im, nan));
}

Parts from_polar(const Array& radius, const Array& angle) {
  const Array is_real = mlxc::equal(angle, number(0));
  const Array im = mlxc::multiply(radius, sin(angle, kWide));
  return {mlxc::multiply(radius, cos(angle, kWide)), mlxc::where(is_real, number(0), im)};
}

Parts operand_parts(const Call& call, std::size_t i) {
  if (is_complex(call.dtype(i))) return parts_of(call.array(i));
  return {operand_as(call, i, kWide), number(0)};
}

}  // namespace

Array complex_of(const Array& real, const Array& imag) {
  const Array parts[] = {mlxc::astype(real, DType::f32), mlxc::astype(imag, DType::f32)};
  const Shape shape = shape_of(real);
  return mlxc::reshape(mlxc::view(mlxc::stack(parts, -1), DType::c64), shape);
}

Array complex_expm1(const Array& z) { return plus(mlxc::exp(z), -1, DType::c64); }

Array complex_sigmoid(const Array& z) {
  const Array one = constant(1.0, DType::c64);
  return mlxc::divide(one, mlxc::add(mlxc::exp(mlxc::negative(z)), one));
}

Array complex_rsqrt(const Array& z) {
  const Array root = mlxc::divide(constant(1.0, DType::c64), mlxc::sqrt(z));
  const Array zero = constant(0.0, DType::c64);
  const Array result = mlxc::where(mlxc::equal(z, zero), complex_nan(), root);
  // A GPU divides by an infinity to NaN.
  if (on_cpu()) return result;
  const Array is_infinite =
      mlxc::logical_or(mlxc::isinf(mlxc::real(z)), mlxc::isinf(mlxc::imag(z)));
  return mlxc::where(is_infinite, zero, result);
}

Array complex_cbrt(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  return join(from_polar(cbrt(magnitude(z), kWide), times(angle(z), 1.0 / 3, kWide)));
}

Array complex_acos(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  return join_if_finite(times_minus_i(log(z + sqrt(minus_one(square(z))))), z);
}

Array complex_acosh(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  return join(log(z + sqrt(minus_one(square(z)))));
}

Array complex_asin(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  return join_if_finite(times_minus_i(log(times_i(z) + sqrt(one_minus(square(z))))), z);
}

Array complex_asinh(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  return join(log(z + sqrt(one_plus(square(z)))));
}

Array complex_atan(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  const Parts turned = times_i(z);
  const Parts difference = log(one_minus(turned)) - log(one_plus(turned));
  const Parts turned_back = times_i(difference);
  return join_if_finite({times(turned_back.re, 0.5, kWide), times(turned_back.im, 0.5, kWide)}, z);
}

Array complex_atanh(const Array& c64) {
  const OnCpu scope;
  const Parts z = parts_of(c64);
  const Parts twice = log(one_plus(z) / one_minus(z));
  return join({times(twice.re, 0.5, kWide), times(twice.im, 0.5, kWide)});
}

Array complex_power(const Call& call) {
  const OnCpu scope;
  const Parts x = operand_parts(call, 0);
  const Parts y = operand_parts(call, 1);
  const Array rho = magnitude(x);
  const Array theta = angle(x);
  const Array radius = mlxc::multiply(mlxc::power(rho, y.re),
                                      exp(mlxc::negative(mlxc::multiply(y.im, theta)), kWide));
  const Array turn = mlxc::add(mlxc::multiply(y.re, theta), mlxc::multiply(y.im, mlxc::log(rho)));
  const Parts power{mlxc::multiply(radius, cos(turn, kWide)),
                    mlxc::multiply(radius, sin(turn, kWide))};
  // 0^0 is 1, and 0 to any other power 0.
  const Array zero = number(0);
  const Array is_one = mlxc::logical_and(mlxc::equal(y.re, zero), mlxc::equal(y.im, zero));
  const Array of_zero = mlxc::where(is_one, number(1), zero);
  const Array base_is_zero = mlxc::equal(rho, zero);
  return complex_of(mlxc::where(base_is_zero, of_zero, power.re),
                    mlxc::where(base_is_zero, zero, power.im));
}

}  // namespace mlxnx::ops::math
