#include "ops/comparison.h"

#include <cmath>
#include <optional>

#include "ops/operands.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

Array compare_same(const Array& a, const Array& b, Comparison how) {
  switch (how) {
    case Comparison::kEqual:
      return mlxc::equal(a, b);
    case Comparison::kNotEqual:
      return mlxc::not_equal(a, b);
    case Comparison::kLess:
      return mlxc::less(a, b);
    case Comparison::kLessEqual:
      return mlxc::less_equal(a, b);
    case Comparison::kGreater:
      return mlxc::greater(a, b);
    case Comparison::kGreaterEqual:
      break;
  }
  return mlxc::greater_equal(a, b);
}

// The comparison that answers the same when the operands change sides.
Comparison mirrored(Comparison how) {
  switch (how) {
    case Comparison::kLess:
      return Comparison::kGreater;
    case Comparison::kLessEqual:
      return Comparison::kGreaterEqual;
    case Comparison::kGreater:
      return Comparison::kLess;
    case Comparison::kGreaterEqual:
      return Comparison::kLessEqual;
    default:
      return how;
  }
}

// The narrowest float among `float_type` and the wider ones that holds every integer of `type`, if
// the current device has one.
std::optional<DType> float_holding(DType integer, DType float_type) {
  const int digits = bits(integer) - (is_signed_integer(integer) ? 1 : 0);
  const auto mantissa = [](DType type) {
    return type == DType::f64 ? 53 : type == DType::f32 ? 24 : type == DType::f16 ? 11 : 8;
  };
  for (const DType candidate : {float_type, DType::f32, DType::f64}) {
    if (bits(candidate) < bits(float_type) || mantissa(candidate) < digits) continue;
    if (candidate != DType::f64 || on_cpu()) return candidate;
  }
  return std::nullopt;
}

// A type that holds every value of both, if there is one here.
std::optional<DType> exact_type(DType a, DType b) {
  if (a == b) return a;
  if (is_complex(a) || is_complex(b)) {
    const DType real = is_complex(a) ? b : a;
    const bool fits =
        is_float(real) ? real != DType::f64 : float_holding(real, DType::f32) == DType::f32;
    return fits ? std::optional(DType::c64) : std::nullopt;
  }
  if (is_integer(a) && is_integer(b)) {
    const DType unsigned_type = is_unsigned(a) ? a : b;
    if (unsigned_type == DType::u64 && is_unsigned(a) != is_unsigned(b)) return std::nullopt;
    return merge(a, b);
  }
  if (is_float(a) && is_float(b)) {
    return bits(a) == bits(b) ? DType::f32 : bits(a) > bits(b) ? a : b;  // f16 and bf16 meet in f32
  }
  return is_integer(a) ? float_holding(a, b) : float_holding(b, a);
}

// u64 against a signed integer: a negative one is less, any other has the same bits as unsigned.
Array compare_u64_signed(const Array& a, const Array& b, Comparison how) {
  const Array zero = constant(std::int64_t{0}, DType::s64);
  const Array same_sign = compare_same(a, mlxc::view(b, DType::u64), how);
  const bool holds_for_negative = how == Comparison::kGreater || how == Comparison::kGreaterEqual ||
                                  how == Comparison::kNotEqual;
  return holds_for_negative ? mlxc::logical_or(mlxc::less(b, zero), same_sign)
                            : mlxc::logical_and(mlxc::greater_equal(b, zero), same_sign);
}

// A 64-bit integer against a float: by their upper halves and, where those agree, their lower
// halves, each of which f64 holds. Of an infinity the lower half is NaN, but its upper half
// decides.
Array compare_integer_float(const Array& a, DType a_type, const Array& b, DType b_type,
                            Comparison how) {
  if (how == Comparison::kNotEqual) {
    return mlxc::logical_not(compare_integer_float(a, a_type, b, b_type, Comparison::kEqual));
  }
  const DType wide = DType::f64;
  const Array a_high = mlxc::astype(mlxc::right_shift(a, constant(std::int64_t{32}, a_type)), wide);
  const Array low_bits = constant(std::int64_t{0xffffffff}, a_type);
  const Array a_low = mlxc::astype(mlxc::bitwise_and(a, low_bits), wide);
  const Array scale = constant(std::ldexp(1.0, 32), wide);
  const Array real = convert(b, b_type, wide);
  const Array b_high = mlxc::floor(mlxc::divide(real, scale));
  const Array b_low = mlxc::subtract(real, mlxc::multiply(b_high, scale));
  const Array low_decides =
      mlxc::logical_and(mlxc::equal(a_high, b_high), compare_same(a_low, b_low, how));
  if (how == Comparison::kEqual) return low_decides;
  const bool is_less = how == Comparison::kLess || how == Comparison::kLessEqual;
  const Array high_decides = is_less ? mlxc::less(a_high, b_high) : mlxc::greater(a_high, b_high);
  return mlxc::logical_or(high_decides, low_decides);
}

// A complex number equals a real one when its imaginary part is 0.
Array compare_complex_real(const Array& a, const Array& b, DType b_type, Comparison how) {
  const Array zero = constant(0.0, DType::f32);
  const Array real = compare(mlxc::real(a), DType::f32, b, b_type, how);
  const Array imag = compare_same(mlxc::imag(a), zero, how);
  return how == Comparison::kEqual ? mlxc::logical_and(real, imag) : mlxc::logical_or(real, imag);
}

}  // namespace

Array compare(const Array& a, DType a_type, const Array& b, DType b_type, Comparison how) {
  if (const auto type = exact_type(a_type, b_type))
    return compare_same(convert(a, a_type, *type), convert(b, b_type, *type), how);
  if (is_complex(a_type)) return compare_complex_real(a, b, b_type, how);
  if (is_complex(b_type)) return compare_complex_real(b, a, a_type, how);
  if (a_type == DType::u64 && is_integer(b_type))
    return compare_u64_signed(a, convert(b, b_type, DType::s64), how);
  if (b_type == DType::u64 && is_integer(a_type))
    return compare_u64_signed(b, convert(a, a_type, DType::s64), mirrored(how));
  if (!on_cpu())  // no type holds both; the gpu compares in its widest
    return compare_same(convert(a, a_type, DType::f32), convert(b, b_type, DType::f32), how);
  if (is_integer(a_type)) return compare_integer_float(a, a_type, b, b_type, how);
  return compare_integer_float(b, b_type, a, a_type, mirrored(how));
}

Array compare(const Call& call, Comparison how) {
  if (call.dtype(0) == call.dtype(1) && call.array(0).is_bool() == call.array(1).is_bool())
    return compare_same(call.array(0), call.array(1), how);
  for (const std::size_t i : {0, 1}) {
    // A known number that the other operand's type holds is compared in that type.
    const DType other = call.dtype(1 - i);
    const auto value = known_scalar(call, i);
    if (!value || !holds(other, *value)) continue;
    const Array number = constant(*value, other);
    const Array tensor = operand(call, 1 - i);
    return i == 0 ? compare_same(number, tensor, how) : compare_same(tensor, number, how);
  }
  return compare(operand(call, 0), call.dtype(0), operand(call, 1), call.dtype(1), how);
}

}  // namespace mlxnx::ops
