// Element-wise ops of two operands that broadcast.
#include <array>
#include <complex>
#include <limits>

#include "ops/comparison.h"
#include "ops/complex_math.h"
#include "ops/integer_math.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Rules.

std::string types_of(const Call& call) {
  return to_string(call.type(0)) + " and " + to_string(call.type(1));
}

template <InferFn rule>
OutputTypes neither_complex(const Call& call) {
  if (is_complex(call.dtype(0)) || is_complex(call.dtype(1)))
    call.type_error("does not take complex tensors, got " + types_of(call));
  return rule(call);
}

template <InferFn rule>
OutputTypes both_integers(const Call& call) {
  if (!is_integer(call.dtype(0)) || !is_integer(call.dtype(1)))
    call.type_error("takes integer tensors, got " + types_of(call));
  return rule(call);
}

constexpr InferFn kMerged = infer<shapes::broadcast, types::merged>;
constexpr InferFn kBroadcastFloating = infer<shapes::broadcast, types::floating>;
constexpr InferFn kBroadcastPredicate = infer<shapes::broadcast, types::predicate>;
constexpr InferFn kBroadcastReal = neither_complex<kMerged>;
constexpr InferFn kOrdered = neither_complex<kBroadcastPredicate>;
constexpr InferFn kBroadcastInteger = both_integers<kMerged>;

OutputTypes infer_all_close(const Call& call) {
  broadcast_shapes(call, call.shape(0), call.shape(1));
  merge(call.dtype(0), call.dtype(1));
  return {{DType::u8, {}}};
}

// Evaluators.

bool any_integer(const Call& call) {
  return is_integer(call.dtype(0)) || is_integer(call.dtype(1));
}
bool all_integers(const Call& call) {
  return is_integer(call.dtype(0)) && is_integer(call.dtype(1));
}

// The type to compute in: the output's, or the operands' where those are of a richer kind.
DType work_type(const Call& call) {
  const DType out = call.output().dtype;
  if (kind(call.dtype(0)) <= kind(out) && kind(call.dtype(1)) <= kind(out)) return out;
  return is_integer(out) && all_integers(call) ? out : merge(call.dtype(0), call.dtype(1));
}

// Digits of a float's mantissa.
int mantissa_bits(DType type) {
  return type == DType::bf16 ? 8 : type == DType::f16 ? 11 : type == DType::f32 ? 24 : 53;
}

// Whether every integer operand keeps its value as a float of `type`.
bool holds_integers(const Call& call, DType type) {
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    if (!is_integer(call.dtype(i)) || bits(call.dtype(i)) <= mantissa_bits(type)) continue;
    const auto known = known_scalar(call, i);
    if (!known || !holds(type, *known)) return false;
  }
  return true;
}

// A half float may be too small for an integer that the result is not too large for: then the
// widest float, which is rounded once.
DType roomy_type(const Call& call, DType type) {
  const bool is_half = is_float(type) && bits(type) == 16;
  return is_half && !holds_integers(call, type) ? widest_float() : type;
}

template <Array (*kernel)(const Array&, const Array&)>
Array in_work_type(const Call& call) {
  const DType type = roomy_type(call, work_type(call));
  return kernel(operand_as(call, 0, type), operand_as(call, 1, type));
}

// Sums and differences, which may be much smaller than their operands: what these lose by rounding
// beforehand can be all of it.
template <Array (*kernel)(const Array&, const Array&)>
Array in_exact_type(const Call& call) {
  DType type = work_type(call);
  if (is_float(type) && !holds_integers(call, type)) type = widest_float();
  return kernel(operand_as(call, 0, type), operand_as(call, 1, type));
}

Array eval_divide(const Call& call) {
  const DType type = roomy_type(call, to_floating(work_type(call)));
  const Array b = operand_as(call, 1, type);
  const Array quotient = mlxc::divide(operand_as(call, 0, type), b);
  if (!is_complex(type)) return quotient;
  // Nx: NaN, C++: infinite.
  const Number zero = std::int64_t{0};
  const auto known = known_scalar(call, 1);
  if (known && !same_number(*known, zero)) return quotient;
  return mlxc::where(mlxc::equal(b, constant(zero, type)), complex_nan(), quotient);
}

// The real part of a complex operand. Nx takes complex numbers whose imaginary parts are 0.
Array only_real(const Call& call, std::size_t i, DType type) {
  const Array real = operand_as(call, i, type);
  if (!is_complex(call.dtype(i))) return real;
  const auto known = known_scalar(call, i);
  if (known && std::get<std::complex<double>>(*known).imag() != 0)
    call.arithmetic_error("Complex.atan2 only accepts real numbers as arguments");
  const Array is_real = mlxc::equal(mlxc::imag(call.array(i)), constant(0.0, DType::f32));
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  return mlxc::where(is_real, real, constant(kNaN, type));
}

Array eval_atan2(const Call& call) {
  const DType type = roomy_type(call, to_floating(work_type(call)));
  const DType real = is_complex(type) ? DType::f32 : type;
  return mlxc::arctan2(only_real(call, 0, real), only_real(call, 1, real));
}

// A float that holds the operands: rounding an integer would change every digit of a remainder, and
// MLX's kernel is wrong for half floats.
DType remainder_type(const Call& call) {
  const DType type = work_type(call);
  const DType narrow = bits(type) == 16 ? DType::f32 : type;
  if (!any_integer(call)) return narrow;
  const std::size_t i = is_integer(call.dtype(0)) ? 0 : 1;
  const auto known = known_scalar(call, i);
  const bool fits = bits(call.dtype(i)) < 32 || (known && holds(narrow, *known));
  return fits ? narrow : widest_float();
}

// Truncated like C's fmod; MLX's remainder of two positive numbers is exact and the same.
Array float_remainder(const Call& call) {
  const DType type = remainder_type(call);
  const Array x = operand_as(call, 0, type);
  const Array rest = mlxc::remainder(mlxc::abs(x), mlxc::abs(operand_as(call, 1, type)));
  return mlxc::where(mlxc::less(x, constant(0.0, type)), mlxc::negative(rest), rest);
}

Array eval_remainder(const Call& call) {
  return all_integers(call) ? math::integer_remainder(call) : float_remainder(call);
}

Array eval_pow(const Call& call) {
  DType type = work_type(call);
  if (is_complex(type)) return math::complex_power(call);
  const auto exponent = known_scalar(call, 1);
  if (exponent && same_number(*exponent, std::int64_t{2}))
    return mlxc::square(operand_as(call, 0, roomy_type(call, type)));
  if (all_integers(call)) return math::integer_power(call);
  // An exponent that a half float rounds changes the result by more than a rounding.
  const bool exact = call.dtype(1) == type || (exponent && holds(type, *exponent));
  if (bits(type) == 16 && !(exact && holds_integers(call, type))) type = DType::f32;
  return mlxc::power(operand_as(call, 0, type), operand_as(call, 1, type));
}

template <Array (*kernel)(const Array&, const Array&), Comparison keeps_first>
Array extremum(const Call& call) {
  DType type = work_type(call);
  if (is_integer(type)) {
    const auto exact = math::exact_integer_type(call);
    if (!exact) {
      return mlxc::where(compare(call, keeps_first), operand_as(call, 0, type),
                         operand_as(call, 1, type));
    }
    type = *exact;
  }
  return kernel(operand_as(call, 0, type), operand_as(call, 1, type));
}

template <Comparison how>
Array compared(const Call& call) {
  return compare(call, how);
}

template <Array (*kernel)(const Array&, const Array&)>
Array of_masks(const Call& call) {
  return kernel(operand_mask(call, 0), operand_mask(call, 1));
}

// An array with its Nx type, for ops made of other ops.
struct Typed {
  Array array;
  DType type;
};

Typed magnitude(const Typed& x) {
  if (is_unsigned(x.type)) return x;
  return {mlxc::abs(x.array), is_complex(x.type) ? DType::f32 : x.type};
}

Array is_infinite(const Typed& x) {
  if (!is_complex(x.type)) return mlxc::isinf(x.array);
  return mlxc::logical_or(mlxc::isinf(mlxc::real(x.array)), mlxc::isinf(mlxc::imag(x.array)));
}

// |a - b| <= atol + rtol |b|
Array is_near(const Call& call, const Typed& a, const Typed& b) {
  DType merged = merge(a.type, b.type);
  if (is_float(merged) && is_integer(a.type) != is_integer(b.type)) merged = widest_float();
  const Typed difference = magnitude(
      {mlxc::subtract(convert(a.array, a.type, merged), convert(b.array, b.type, merged)), merged});
  // Of integers in a float that holds the magnitude of the lowest number too.
  Typed size = b;
  if (is_integer(b.type)) size.type = is_integer(a.type) ? widest_float() : DType::f32;
  size = magnitude({convert(b.array, b.type, size.type), size.type});
  const Array relative = mlxc::multiply(size.array, constant(call.attr<double>("rtol"), size.type));
  const Array bound = mlxc::add(relative, constant(call.attr<double>("atol"), size.type));
  return compare(difference.array, difference.type, bound, size.type, Comparison::kLessEqual);
}

Array eval_all_close(const Call& call) {
  const Typed a{operand(call, 0), call.dtype(0)};
  const Typed b{operand(call, 1), call.dtype(1)};
  Array close = is_near(call, a, b);
  if (!all_integers(call)) {
    // The difference of two infinities is NaN, though they may be equal.
    const Array any_infinite = mlxc::logical_or(is_infinite(a), is_infinite(b));
    const Array equal = compare(a.array, a.type, b.array, b.type, Comparison::kEqual);
    close = mlxc::where(any_infinite, equal, close);
    if (call.attr<bool>("equal_nan")) {
      const Array both_nan = mlxc::logical_and(mlxc::isnan(a.array), mlxc::isnan(b.array));
      close = mlxc::logical_or(both_nan, close);
    }
  }
  return mlxc::all(close, all_axes(close.rank()));
}

const std::array kAllCloseAttrs = {
    AttrDef{"equal_nan", AttrKind::kBool, false},
    AttrDef{"rtol", AttrKind::kFloat, 1.0e-5},
    AttrDef{"atol", AttrKind::kFloat, 1.0e-8},
};

OpDef binary(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc,
             std::span<const AttrDef> attrs = {}) {
  return {.name = name,
          .group = Group::kBinary,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

OpDef lasting(OpDef op) {
  op.takes_long = true;
  return op;
}

const std::array kBinaryOps = {
    binary("add", kMerged, in_exact_type<mlxc::add>, "Sum, element by element; integers wrap."),
    lasting(binary(
        "atan2", kBroadcastFloating, eval_atan2,
        "Angle of the point (right, left), element by element, in radians; NaN where one is a "
        "complex number off the real axis, which is refused where it is known.")),
    binary("bitwise_and", kBroadcastInteger, in_work_type<mlxc::bitwise_and>,
           "Bits that both integers have, element by element."),
    binary("bitwise_or", kBroadcastInteger, in_work_type<mlxc::bitwise_or>,
           "Bits that either integer has, element by element."),
    binary("bitwise_xor", kBroadcastInteger, in_work_type<mlxc::bitwise_xor>,
           "Bits that exactly one integer has, element by element."),
    lasting(binary("divide", kBroadcastFloating, eval_divide,
                   "Quotient as a float, element by element.")),
    binary("equal", kBroadcastPredicate, compared<Comparison::kEqual>,
           "1 where both elements are the same number."),
    binary("greater", kOrdered, compared<Comparison::kGreater>, "1 where left > right."),
    binary("greater_equal", kOrdered, compared<Comparison::kGreaterEqual>,
           "1 where left >= right."),
    binary("left_shift", kBroadcastInteger, math::left_shift,
           "Shifts the bits of left up by right; by the width or more gives 0. A negative amount "
           "is refused where it is known, and gives 0 elsewhere."),
    binary("less", kOrdered, compared<Comparison::kLess>, "1 where left < right."),
    binary("less_equal", kOrdered, compared<Comparison::kLessEqual>, "1 where left <= right."),
    binary("logical_and", kBroadcastPredicate, of_masks<mlxc::logical_and>,
           "1 where both elements are not zero."),
    binary("logical_or", kBroadcastPredicate, of_masks<mlxc::logical_or>,
           "1 where an element is not zero."),
    binary("logical_xor", kBroadcastPredicate, of_masks<mlxc::not_equal>,
           "1 where exactly one element is not zero."),
    binary("max", kBroadcastReal, extremum<mlxc::maximum, Comparison::kGreater>,
           "Greater of both elements; NaN where one is NaN."),
    binary("min", kBroadcastReal, extremum<mlxc::minimum, Comparison::kLess>,
           "Lesser of both elements; NaN where one is NaN."),
    binary("multiply", kMerged, in_work_type<mlxc::multiply>,
           "Product, element by element; integers wrap."),
    binary("not_equal", kBroadcastPredicate, compared<Comparison::kNotEqual>,
           "1 where the elements are different numbers."),
    lasting(binary(
        "pow", kMerged, eval_pow,
        "Power, element by element; integers wrap, and their powers to negative exponents are "
        "truncated.")),
    lasting(binary(
        "quotient", kBroadcastInteger, math::quotient,
        "Integer quotient, truncated. A known divisor 0 is refused, and gives -1 (all bits set) "
        "elsewhere.")),
    lasting(binary(
        "remainder", kBroadcastReal, eval_remainder,
        "Remainder of the truncated quotient, with the sign of left; NaN where the divisor is "
        "the float 0. A known integer 0 is refused, and gives left elsewhere.")),
    binary("right_shift", kBroadcastInteger, math::right_shift,
           "Shifts the bits of left down by right, keeping the sign; by the width or more gives 0 "
           "or -1. A negative amount is refused where it is known, and does so elsewhere."),
    binary("subtract", kMerged, in_exact_type<mlxc::subtract>,
           "Difference, element by element; integers wrap."),
    binary("block:AllClose", infer_all_close, eval_all_close,
           "1 when |left - right| <= atol + rtol |right| for all elements.", kAllCloseAttrs),
};

}  // namespace

std::span<const OpDef> binary_ops() { return kBinaryOps; }

}  // namespace mlxnx::ops
