#include <cmath>
#include <complex>
#include <numbers>

#include "transforms/algebra.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

// t times the derivative of a function of one operand x with result y.
#define MLXNX_SLOPE(expression)                                         \
  [](const Application& call, std::size_t, const Tensor& t) -> Tensor { \
    [[maybe_unused]] const Tensor& y = call.out[0];                     \
    [[maybe_unused]] const Tensor x = continuous(call.in[0]);           \
    return expression;                                                  \
  }

Tensor squared(const Tensor& x) { return x * x; }

// No product with 0, which would let NaN and infinities of the side not taken through.
Tensor where(const Tensor& holds, const Tensor& t) {
  const Tensor value = t.shape() == holds.shape() ? t : t + zeros({t.dtype(), holds.shape()});
  const Tensor mask = holds.shape() == value.shape() ? holds : broadcast(holds, value.shape());
  return select(mask, value, Tensor(0.0, t.dtype()));
}

// What `t` led to, negated; a cotangent of an operand that was broadcast is summed first, when it
// is large.
Tensor negated(const Application& call, std::size_t i, const Tensor& t, const Tensor& result) {
  const bool leads_back = t.shape() == call.out[0].shape();
  return -(leads_back ? conform(result, {result.dtype(), call.shape(i)}) : result);
}

const std::complex<double> kMinusI(0, -1);

Tensor abs_scale(const Application& call, std::size_t, const Tensor& t) {
  const Tensor& x = call.in[0];
  if (!is_complex(x.dtype())) return select(x >= 0, t, -t);
  const Tensor& size = call.out[0];
  const Tensor safe = select(size == 0, Tensor(1.0, size.dtype()), size);
  return where(size != 0, t * conjugate(x) / safe);
}

// Complex ones by their value, which tells on which branch it lies.
Tensor acos_scale(const Application& call, std::size_t, const Tensor& t) {
  const Tensor x = continuous(call.in[0]);
  return -t / (is_complex(x.dtype()) ? sin(call.out[0]) : sqrt(1 - squared(x)));
}
Tensor acosh_scale(const Application& call, std::size_t, const Tensor& t) {
  const Tensor x = continuous(call.in[0]);
  return t / (is_complex(x.dtype()) ? sinh(call.out[0]) : sqrt(squared(x) - 1));
}

Tensor phase_scale(const Application& call, std::size_t, const Tensor& t) {
  const Tensor& z = call.in[0];
  if (!is_complex(z.dtype())) return zeros(t.type());
  return t * (Tensor(kMinusI) / z);
}

Tensor divide_scale(const Application& call, std::size_t i, const Tensor& t) {
  const Tensor& divisor = call.in[1];
  return i == 0 ? t / divisor : negated(call, i, t, t / divisor * call.out[0]);
}

Tensor atan2_scale(const Application& call, std::size_t i, const Tensor& t) {
  const Tensor y = continuous(call.in[0]);
  const Tensor x = continuous(call.in[1]);
  return t * (i == 0 ? x : -y) / (squared(x) + squared(y));
}

// A tie gives half to each.
Tensor extreme(const Tensor& is_taken, const Tensor& is_tied, const Tensor& t) {
  return select(is_taken, t, where(is_tied, t * 0.5));
}
Tensor max_scale(const Application& call, std::size_t i, const Tensor& t) {
  return extreme(call.in[i] > call.in[1 - i], call.in[0] == call.in[1], t);
}
Tensor min_scale(const Application& call, std::size_t i, const Tensor& t) {
  return extreme(call.in[i] < call.in[1 - i], call.in[0] == call.in[1], t);
}

Tensor remainder_scale(const Application& call, std::size_t i, const Tensor& t) {
  if (i == 0) return t;
  // The truncated quotient; that of the operands could round up to a whole number.
  return -(t * round((call.in[0] - call.out[0]) / call.in[1]));
}

Tensor pow_scale(const Application& call, std::size_t i, const Tensor& t) {
  // Both in the type of the result: a logarithm in half the digits would be a coarse one.
  const DType type = program::cotangent_type(call.out[0].type()).dtype;
  const auto widened = [type](const Tensor& operand) {
    return operand.dtype() == type ? operand : as_type(operand, type);
  };
  const Tensor x = widened(call.in[0]);
  const Tensor y = widened(call.in[1]);
  if (i == 0) return where(y != 0, t * (y * pow(x, y - 1)));
  // log of the operand only where it counts: 0 times its infinity would be NaN
  const Tensor base = select(x == 0, Tensor(1.0, x.dtype()), x);
  return where(x != 0, t * (log(base) * call.out[0]));
}

// At a bound the operand gets all. Bounds that cross make every element the upper one.
Tensor clip_scale(const Application& call, std::size_t i, const Tensor& t) {
  const Tensor& x = call.in[0];
  const Tensor& low = call.in[1];
  const Tensor& high = call.in[2];
  if (i == 0) return where(logical_and(x >= low, x <= high), t);
  if (i == 1) return where(logical_and(logical_not(x >= low), low <= high), t);
  return where(logical_or(x > high, low > high), t);
}

Tensor select_scale(const Application& call, std::size_t i, const Tensor& t) {
  if (i == 0) return zeros(t.type());
  const Tensor holds = call.in[0];
  return where(i == 1 ? holds : holds == 0, t);
}

Tensor as_it_is(const Application&, std::size_t, const Tensor& t) { return t; }

}  // namespace

std::span<const Rule> elementwise_rules() {
  static const std::vector<Rule> rules = {
      elementwise("abs", abs_scale),
      elementwise("acos", acos_scale),
      elementwise("acosh", acosh_scale),
      elementwise("asin", MLXNX_SLOPE(t / sqrt(1 - squared(x)))),
      elementwise("asinh", MLXNX_SLOPE(t / sqrt(1 + squared(x)))),
      elementwise("atan", MLXNX_SLOPE(t / (1 + squared(x)))),
      elementwise("atanh", MLXNX_SLOPE(t / (1 - squared(x)))),
      zero("bitwise_not"),
      elementwise("cbrt", MLXNX_SLOPE(t / (3 * squared(y)))),
      zero("ceil"),
      elementwise("conjugate", MLXNX_SLOPE(conjugate(t))),
      elementwise("cos", MLXNX_SLOPE(-t * sin(x))),
      elementwise("cosh", MLXNX_SLOPE(t * sinh(x))),
      zero("count_leading_zeros"),
      elementwise("erf", MLXNX_SLOPE(t * exp(-squared(x)) * (2 * std::numbers::inv_sqrtpi))),
      elementwise("erf_inv", MLXNX_SLOPE(t * exp(squared(y)) * (0.5 / std::numbers::inv_sqrtpi))),
      elementwise("erfc", MLXNX_SLOPE(t * exp(-squared(x)) * (-2 * std::numbers::inv_sqrtpi))),
      elementwise("exp", MLXNX_SLOPE(t * y)),
      elementwise("expm1", MLXNX_SLOPE(t * (y + 1))),
      zero("floor"),
      elementwise("imag", MLXNX_SLOPE(t * Tensor(kMinusI))),
      zero("is_infinity"),
      zero("is_nan"),
      elementwise("log", MLXNX_SLOPE(t / x)),
      elementwise("log1p", MLXNX_SLOPE(t / (1 + x))),
      elementwise("negate", MLXNX_SLOPE(-t)),
      zero("population_count"),
      elementwise("real", MLXNX_SLOPE(real(t))),
      zero("round"),
      elementwise("rsqrt", MLXNX_SLOPE(t * y * -0.5 / x)),
      elementwise("sigmoid", MLXNX_SLOPE(t * y * (1 - y))),
      zero("sign"),
      elementwise("sin", MLXNX_SLOPE(t * cos(x))),
      elementwise("sinh", MLXNX_SLOPE(t * cosh(x))),
      elementwise("sqrt", MLXNX_SLOPE(t * 0.5 / y)),
      elementwise("tan", MLXNX_SLOPE(t * (1 + squared(y)))),
      elementwise("tanh", MLXNX_SLOPE(t * (1 - squared(y)))),
      zero("block:LogicalNot"),
      elementwise("block:Phase", phase_scale),

      elementwise("add", as_it_is),
      elementwise("atan2", atan2_scale),
      zero("bitwise_and"),
      zero("bitwise_or"),
      zero("bitwise_xor"),
      elementwise("divide", divide_scale),
      zero("equal"),
      zero("greater"),
      zero("greater_equal"),
      zero("left_shift"),
      zero("less"),
      zero("less_equal"),
      zero("logical_and"),
      zero("logical_or"),
      zero("logical_xor"),
      elementwise("max", max_scale),
      elementwise("min", min_scale),
      elementwise("multiply", [](const Application& call, std::size_t i,
                                 const Tensor& t) { return t * call.in[1 - i]; }),
      zero("not_equal"),
      elementwise("pow", pow_scale),
      zero("quotient"),
      elementwise("remainder", remainder_scale),
      zero("right_shift"),
      elementwise("subtract", [](const Application& call, std::size_t i,
                                 const Tensor& t) { return i == 0 ? t : negated(call, i, t, t); }),
      zero("block:AllClose"),

      elementwise("clip", clip_scale),
      elementwise("select", select_scale),
      elementwise("as_type", as_it_is),
      zero("bitcast"),
  };
  return rules;
}

#undef MLXNX_SLOPE

}  // namespace mlxnx::transforms
