// Element-wise ops of one operand.
#include <array>
#include <limits>
#include <optional>

#include "mlxc/engine.h"
#include "ops/complex_math.h"
#include "ops/integer_math.h"
#include "ops/operands.h"
#include "ops/real_math.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using math::ComplexFunction;
using math::native;
using math::RealFunction;
using mlxc::Array;

// Rules.

DType complex_type(const Call& call) { return to_complex(call.dtype(0)); }
DType magnitude_type(const Call& call) {
  return is_complex(call.dtype(0)) ? to_real(call.dtype(0)) : call.dtype(0);
}

template <InferFn rule>
OutputTypes without_complex(const Call& call) {
  if (is_complex(call.dtype(0)))
    call.type_error("does not take complex tensors, got " + to_string(call.type(0)));
  return rule(call);
}

template <InferFn rule>
OutputTypes integers_only(const Call& call) {
  if (!is_integer(call.dtype(0)))
    call.type_error("takes integer tensors, got " + to_string(call.type(0)));
  return rule(call);
}

constexpr InferFn kSame = infer<shapes::same, types::same>;
constexpr InferFn kFloating = infer<shapes::same, types::floating>;
constexpr InferFn kPredicate = infer<shapes::same, types::predicate>;
constexpr InferFn kReal = infer<shapes::same, types::real>;
constexpr InferFn kComplex = infer<shapes::same, complex_type>;
constexpr InferFn kMagnitude = infer<shapes::same, magnitude_type>;
constexpr InferFn kRealFloating = without_complex<kFloating>;
constexpr InferFn kRounding = without_complex<kSame>;
constexpr InferFn kInteger = integers_only<kSame>;

// Evaluators.

DType floating_type(const Call& call) {
  return is_complex(call.dtype(0)) ? DType::c64 : to_floating(call.output().dtype);
}

template <RealFunction real, ComplexFunction complex>
Array floating(const Call& call) {
  const DType type = floating_type(call);
  const Array x = operand_as(call, 0, type);
  return is_complex(type) ? complex(x) : real(x, type);
}

template <Array (*kernel)(const Array&)>
constexpr EvalFn kKernel = floating<native<kernel>, kernel>;

template <RealFunction real>
Array real_floating(const Call& call) {
  const DType type = floating_type(call);
  return real(operand_as(call, 0, type), type);
}

// For functions that turn a small relative error of a large argument into any result at all: wide
// integers are not rounded to f32 first, and so are left to the CPU.
template <RealFunction real, ComplexFunction complex>
Array periodic(const Call& call) {
  const bool is_wide = is_integer(call.dtype(0)) && bits(call.dtype(0)) >= 32;
  std::optional<mlxc::StreamScope> cpu;
  if (is_wide && !on_cpu()) cpu.emplace(mlxc::Engine::current().stream(Device::kCpu));
  const DType type = is_wide ? DType::f64 : floating_type(call);
  const Array x = operand_as(call, 0, type);
  const Array result = is_complex(type) ? complex(x) : real(x, type);
  // The GPU can't even cast what is f64.
  return cpu ? convert(result, type, call.output().dtype) : result;
}

template <Array (*kernel)(const Array&)>
Array as_is(const Call& call) {
  return kernel(operand(call, 0));
}

// Integers have no fraction to round.
template <RealFunction real>
Array rounded(const Call& call) {
  const Array x = operand(call, 0);
  return is_integer(call.dtype(0)) ? x : real(x, call.dtype(0));
}

Array eval_abs(const Call& call) {
  const Array x = operand(call, 0);
  return is_unsigned(call.dtype(0)) ? x : mlxc::abs(x);
}

Array eval_sign(const Call& call) {
  const Array x = operand(call, 0);
  // Nx's reference orders every complex number above 0.
  if (is_complex(call.dtype(0))) return mlxc::ones_like(x);
  return is_integer(call.dtype(0)) ? mlxc::sign(x) : math::sign(x, call.dtype(0));
}

Array eval_real(const Call& call) {
  return is_complex(call.dtype(0)) ? mlxc::real(call.array(0))
                                   : operand_as(call, 0, call.output().dtype);
}

Array eval_imag(const Call& call) {
  if (is_complex(call.dtype(0))) return mlxc::imag(call.array(0));
  return mlxc::full(call.output().shape, constant(0.0, DType::f32), DType::f32);
}

Array eval_conjugate(const Call& call) { return mlxc::conjugate(operand_as(call, 0, DType::c64)); }

Array eval_phase(const Call& call) {
  if (is_complex(call.dtype(0)))
    return mlxc::arctan2(mlxc::imag(call.array(0)), mlxc::real(call.array(0)));
  const DType type = floating_type(call);
  return mlxc::arctan2(constant(0.0, type), operand_as(call, 0, type));
}

Array is_infinite(const Array& x, DType type) {
  return mlxc::equal(mlxc::abs(x), constant(std::numeric_limits<double>::infinity(), type));
}

Array eval_is_infinity(const Call& call) {
  const Array x = operand(call, 0);
  const DType type = call.dtype(0);
  if (is_integer(type)) return mlxc::isinf(x);
  if (!is_complex(type)) return is_infinite(x, type);
  // |z| would be infinite for large finite parts too.
  return mlxc::logical_or(is_infinite(mlxc::real(x), DType::f32),
                          is_infinite(mlxc::imag(x), DType::f32));
}

Array eval_logical_not(const Call& call) {
  const Array& x = call.array(0);
  if (x.is_bool()) return mlxc::logical_not(x);
  return mlxc::equal(x, constant(0.0, call.dtype(0)));
}

OpDef unary(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kUnary,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = {},
          .infer = infer,
          .eval = eval,
          .doc = doc,
          .takes_long = true};
}

const std::array kUnaryOps = {
    unary("abs", kMagnitude, eval_abs,
          "Absolute value of each element; of complex ones the modulus."),
    unary("acos", kFloating, floating<native<mlxc::arccos>, math::complex_acos>,
          "Inverse cosine of each element."),
    unary("acosh", kFloating, floating<native<mlxc::arccosh>, math::complex_acosh>,
          "Inverse hyperbolic cosine of each element."),
    unary("asin", kFloating, floating<native<mlxc::arcsin>, math::complex_asin>,
          "Inverse sine of each element."),
    unary("asinh", kFloating, floating<native<mlxc::arcsinh>, math::complex_asinh>,
          "Inverse hyperbolic sine of each element."),
    unary("atan", kFloating, floating<native<mlxc::arctan>, math::complex_atan>,
          "Inverse tangent of each element."),
    unary("atanh", kFloating, floating<native<mlxc::arctanh>, math::complex_atanh>,
          "Inverse hyperbolic tangent of each element."),
    unary("bitwise_not", kInteger, as_is<mlxc::bitwise_invert>, "Inverts each bit of integers."),
    unary("cbrt", kFloating, floating<math::cbrt, math::complex_cbrt>,
          "Cube root of each element: the real one of real numbers, the principal one of complex "
          "numbers."),
    unary("ceil", kRounding, rounded<native<mlxc::ceil>>,
          "Smallest integer that is not less than each element."),
    unary("conjugate", kComplex, eval_conjugate, "Complex conjugate of each element."),
    unary("cos", kFloating, periodic<math::cos, mlxc::cos>, "Cosine of each element, in radians."),
    unary("cosh", kFloating, kKernel<mlxc::cosh>, "Hyperbolic cosine of each element."),
    unary("count_leading_zeros", kInteger, math::count_leading_zeros,
          "Number of zero bits above the highest one bit of each integer; the width for 0."),
    unary("erf", kRealFloating, real_floating<math::erf>, "Error function of each element."),
    unary("erf_inv", kRealFloating, real_floating<math::erf_inv>,
          "Inverse error function of each element; in f64 by the single-precision formula of Nx's "
          "reference."),
    unary("erfc", kRealFloating, real_floating<math::erfc>,
          "Complementary error function, 1 - erf(x), of each element."),
    unary("exp", kFloating, floating<math::exp, mlxc::exp>, "Exponential of each element."),
    unary("expm1", kFloating, floating<native<mlxc::expm1>, math::complex_expm1>,
          "Exponential less one, exp(x) - 1, of each element."),
    unary("floor", kRounding, rounded<native<mlxc::floor>>,
          "Largest integer that is not greater than each element."),
    unary("imag", kReal, eval_imag, "Imaginary part of each element."),
    unary("is_infinity", kPredicate, eval_is_infinity,
          "1 where an element, or a part of it, is infinite."),
    unary("is_nan", kPredicate, as_is<mlxc::isnan>, "1 where an element, or a part of it, is NaN."),
    unary("log", kFloating, kKernel<mlxc::log>, "Natural logarithm of each element."),
    unary("log1p", kFloating, kKernel<mlxc::log1p>, "Natural logarithm of each element plus one."),
    unary("negate", kSame, as_is<mlxc::negative>, "Negation of each element; unsigned ones wrap."),
    unary("population_count", kInteger, math::population_count,
          "Number of one bits of each integer."),
    unary("real", kReal, eval_real, "Real part of each element."),
    unary("round", kRounding, rounded<math::round>,
          "Nearest integer to each element; halves go away from zero."),
    unary("rsqrt", kFloating, floating<native<mlxc::rsqrt>, math::complex_rsqrt>,
          "Reciprocal square root, 1 / sqrt(x), of each element."),
    unary("sigmoid", kFloating, floating<math::sigmoid, math::complex_sigmoid>,
          "Logistic function, 1 / (1 + exp(-x)), of each element."),
    unary("sign", kSame, eval_sign,
          "-1, 0 or 1 by the sign of each element; as in Nx's reference 1 for NaN, both infinities "
          "and all complex numbers."),
    unary("sin", kFloating, periodic<math::sin, mlxc::sin>, "Sine of each element, in radians."),
    unary("sinh", kFloating, kKernel<mlxc::sinh>, "Hyperbolic sine of each element."),
    unary("sqrt", kFloating, kKernel<mlxc::sqrt>, "Square root of each element."),
    unary("tan", kFloating, periodic<native<mlxc::tan>, mlxc::tan>,
          "Tangent of each element, in radians."),
    unary("tanh", kFloating, kKernel<mlxc::tanh>, "Hyperbolic tangent of each element."),
    unary("block:LogicalNot", kPredicate, eval_logical_not, "1 where an element is zero."),
    unary("block:Phase", kReal, eval_phase, "Angle of each complex element, in radians."),
};

}  // namespace

std::span<const OpDef> unary_ops() { return kUnaryOps; }

}  // namespace mlxnx::ops
