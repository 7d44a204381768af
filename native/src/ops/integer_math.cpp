#include "ops/integer_math.h"

#include <algorithm>
#include <optional>
#include <string>

#include "mlxc/version.h"
#include "ops/operands.h"
#include "ops/type_rules.h"

namespace mlxnx::ops::math {
namespace {

using mlxc::Array;

Array integer(std::int64_t value, DType type) { return constant(value, type); }

// Whether every value of `part` is one of `whole`.
bool holds_all_of(DType whole, DType part) {
  if (is_signed_integer(part)) return is_signed_integer(whole) && bits(whole) >= bits(part);
  return is_signed_integer(whole) ? bits(whole) > bits(part) : bits(whole) >= bits(part);
}

bool fits(const Call& call, std::size_t i, DType type) {
  if (holds_all_of(type, call.dtype(i))) return true;
  const auto value = known_scalar(call, i);
  return value && holds(type, *value);
}

std::optional<std::int64_t> known_s64(const Call& call, std::size_t i) {
  const auto value = known_scalar(call, i);
  if (!value || !holds(DType::s64, *value)) return std::nullopt;
  const auto* small = std::get_if<std::int64_t>(&*value);
  return small != nullptr ? *small : static_cast<std::int64_t>(std::get<std::uint64_t>(*value));
}

Array unsigned_view(const Array& array, DType type) {
  return is_unsigned(type) ? array : mlxc::view(array, unsigned_of(type));
}

// a / b without its fraction, for a divisor that is not 0, nor -1 where `a` may be the lowest
// number. MLX 0.31 cuts the fraction of integers off, 0.32.4 rounds down; without signs both agree.
Array cut_quotient(const Array& a, const Array& b, DType type) {
  if (is_unsigned(type) || mlxc::mlx_is_older_than(0, 32)) return mlxc::floor_divide(a, b);
  const auto magnitude = [type](const Array& x) { return unsigned_view(mlxc::abs(x), type); };
  const Array quotient = mlxc::view(mlxc::floor_divide(magnitude(a), magnitude(b)), type);
  const Array is_negative = mlxc::less(mlxc::bitwise_xor(a, b), integer(0, type));
  return mlxc::where(is_negative, mlxc::negative(quotient), quotient);
}

// Operand `i` as its sign and its magnitude in u64.
struct SignMagnitude {
  std::optional<Array> is_negative;
  Array magnitude;
  SignMagnitude(const Call& call, std::size_t i) {
    if (is_unsigned(call.dtype(i))) {
      magnitude = operand_as(call, i, DType::u64);
    } else {
      const Array value = operand_as(call, i, DType::s64);
      is_negative = mlxc::less(value, integer(0, DType::s64));
      magnitude = mlxc::view(mlxc::abs(value), DType::u64);
    }
  }
};

// For u64 with a signed type. One of the two is unsigned, so at most one sign is there.
Array mixed_quotient(const Call& call) {
  const SignMagnitude a(call, 0);
  const SignMagnitude b(call, 1);
  const Array is_zero = mlxc::equal(b.magnitude, integer(0, DType::u64));
  const Array divisor = mlxc::where(is_zero, integer(1, DType::u64), b.magnitude);
  const Array quotient = mlxc::floor_divide(a.magnitude, divisor);
  const Array& is_negative = a.is_negative ? *a.is_negative : *b.is_negative;
  const Array with_sign = mlxc::where(is_negative, mlxc::negative(quotient), quotient);
  return mlxc::where(is_zero, integer(-1, DType::u64), with_sign);
}

Array mixed_remainder(const Call& call) {
  const SignMagnitude a(call, 0);
  const SignMagnitude b(call, 1);
  const Array is_zero = mlxc::equal(b.magnitude, integer(0, DType::u64));
  const Array divisor = mlxc::where(is_zero, integer(1, DType::u64), b.magnitude);
  const Array rest = mlxc::where(is_zero, a.magnitude, mlxc::remainder(a.magnitude, divisor));
  return a.is_negative ? mlxc::where(*a.is_negative, mlxc::negative(rest), rest) : rest;
}

// The shift amounts of operand 1 as numbers under `width`, and where they were so from the start.
struct Amounts {
  Array below_width;
  Array amounts;
  Amounts(const Call& call, DType type) {
    const DType given = call.dtype(1);
    const DType unsigned_type = unsigned_of(given);
    const Array b =
        unsigned_view(operand(call, 1), given);  // a negative amount becomes a large one
    below_width = mlxc::less(b, integer(bits(type), unsigned_type));
    amounts =
        convert(mlxc::minimum(b, integer(bits(type) - 1, unsigned_type)), unsigned_type, type);
  }
};

// The amount of a shift where it is known. Nx refuses a negative one; unknown ones count as large.
std::optional<std::int64_t> known_amount(const Call& call) {
  const auto amount = known_s64(call, 1);
  if (amount && *amount < 0) {
    const std::string direction = call.op.name == "left_shift" ? "left" : "right";
    call.value_error("cannot " + direction + " shift by " + std::to_string(*amount));
  }
  return amount;
}

using Shift = Array (*)(const Array&, const Array&);

// A shift that fills with zeros.
template <Shift shift>
Array logical_shift(const Call& call, DType type) {
  const Array a = operand_as(call, 0, type);
  if (const auto amount = known_amount(call)) {
    const bool is_below_width = *amount < bits(type);
    return is_below_width ? shift(a, integer(*amount, type))
                          : mlxc::full(call.output().shape, integer(0, type), type);
  }
  const Amounts b(call, type);
  return mlxc::where(b.below_width, shift(a, b.amounts), integer(0, type));
}

Array arithmetic_right_shift(const Call& call, DType type) {
  const Array a = operand_as(call, 0, type);
  const std::int64_t last = bits(type) - 1;
  if (const auto amount = known_amount(call)) {
    return mlxc::right_shift(a, integer(std::min(*amount, last), type));
  }
  return mlxc::right_shift(a, Amounts(call, type).amounts);
}

// a^b where b may be negative: then (1 / a)^-b, where 1 / a truncates to 0 unless a is 1 or -1, so
// that of -b only the last bit counts.
Array power_of_any_sign(const Call& call, DType type) {
  const Array a = operand_as(call, 0, type);
  const Array b = operand_as(call, 1, type);
  const Array one = integer(1, type);
  const Array zero = integer(0, type);
  const Array is_negative = mlxc::less(b, zero);
  // The largest u64 would look like -1.
  const Array magnitude = is_unsigned(call.dtype(0)) ? a : mlxc::abs(a);
  const Array inverse = mlxc::where(mlxc::equal(magnitude, one), a, zero);
  const Array same_parity = mlxc::add(mlxc::bitwise_and(b, one), integer(2, type));
  return mlxc::power(mlxc::where(is_negative, inverse, a),
                     mlxc::where(is_negative, same_parity, b));
}

}  // namespace

DType unsigned_of(DType type) {
  return is_signed_integer(type) ? static_cast<DType>(static_cast<int>(type) - 4) : type;
}

std::optional<DType> exact_integer_type(const Call& call) {
  const DType out = call.output().dtype;
  if (is_integer(out) && fits(call, 0, out) && fits(call, 1, out)) return out;
  const DType merged = merge(call.dtype(0), call.dtype(1));
  if (holds_all_of(merged, call.dtype(0)) && holds_all_of(merged, call.dtype(1))) return merged;
  return std::nullopt;
}

// The divisor where it is known. Nx refuses zero; an unknown one leaves what the rows say.
std::optional<std::int64_t> known_divisor(const Call& call) {
  const auto divisor = known_s64(call, 1);
  if (divisor == 0)
    call.arithmetic_error("bad argument in arithmetic expression: division by zero");
  return divisor;
}

Array quotient(const Call& call) {
  const auto known = known_divisor(call);
  const auto exact = exact_integer_type(call);
  if (!exact) return mixed_quotient(call);
  const DType type = *exact;
  const Array a = operand_as(call, 0, type);
  const Array minus_one = integer(-1, type);
  if (known && *known == -1) return mlxc::negative(a);
  if (known) return cut_quotient(a, integer(*known, type), type);
  const Array b = operand_as(call, 1, type);
  const Array one = integer(1, type);
  const Array is_zero = mlxc::equal(b, integer(0, type));
  if (is_unsigned(type)) {
    const Array quotient = mlxc::floor_divide(a, mlxc::where(is_zero, one, b));
    return mlxc::where(is_zero, minus_one, quotient);
  }
  // x86 traps on the lowest number / -1 as well; negation gives what Nx's wrapped result is.
  const Array is_minus_one = mlxc::equal(b, minus_one);
  const Array divisor = mlxc::where(mlxc::logical_or(is_zero, is_minus_one), one, b);
  const Array quotient =
      mlxc::where(is_minus_one, mlxc::negative(a), cut_quotient(a, divisor, type));
  return mlxc::where(is_zero, minus_one, quotient);
}

Array integer_remainder(const Call& call) {
  const auto known = known_divisor(call);
  const auto exact = exact_integer_type(call);
  if (!exact) return mixed_remainder(call);
  const DType type = *exact;
  const Array a = operand_as(call, 0, type);
  const Array zero = integer(0, type);
  if (known && *known == -1) return mlxc::full(call.output().shape, zero, type);
  const Array b = operand_as(call, 1, type);
  if (known && is_unsigned(type)) return mlxc::remainder(a, b);
  // MLX's remainder takes the divisor's sign, Nx's the dividend's, which is what subtraction gives.
  const auto rest = [&a](const Array& quotient, const Array& divisor) {
    return mlxc::subtract(a, mlxc::multiply(quotient, divisor));
  };
  if (known) return rest(cut_quotient(a, b, type), b);
  // The magnitude is never -1, and 0 times the quotient leaves the dividend.
  const Array magnitude = is_unsigned(type) ? b : mlxc::abs(b);
  const Array divisor = mlxc::where(mlxc::equal(b, zero), integer(1, type), magnitude);
  return rest(cut_quotient(a, divisor, type), magnitude);
}

Array integer_power(const Call& call) {
  // The base may wrap, the exponent may not: it has to keep its value in the type of the work.
  const DType out = call.output().dtype;
  const DType type = fits(call, 1, out) ? out : merge(out, call.dtype(1));
  const auto known = known_s64(call, 1);
  const bool never_negative = is_unsigned(type) || (known && *known >= 0) ||
                              (is_unsigned(call.dtype(1)) && call.dtype(1) != DType::u64);
  if (!never_negative) return power_of_any_sign(call, merge(type, call.dtype(0)));
  return mlxc::power(operand_as(call, 0, type), operand_as(call, 1, type));
}

Array left_shift(const Call& call) {
  return logical_shift<mlxc::left_shift>(call, call.output().dtype);
}

Array right_shift(const Call& call) {
  // The number is shifted as it is; only the result takes the output's type.
  const DType type = call.dtype(0);
  return is_unsigned(type) ? logical_shift<mlxc::right_shift>(call, type)
                           : arithmetic_right_shift(call, type);
}

Array count_leading_zeros(const Call& call) {
  const DType type = call.dtype(0);
  const DType unsigned_type = unsigned_of(type);
  const int width = bits(type);
  Array x = unsigned_view(operand(call, 0), type);
  if (width > 16) {
    // Without the bit below the first one, rounding to f32 can't carry into the next power of two.
    const Array below = mlxc::right_shift(x, integer(1, unsigned_type));
    x = mlxc::bitwise_and(x, mlxc::bitwise_invert(below));
  }
  const Array float_bits = mlxc::view(mlxc::astype(x, DType::f32), DType::s32);
  const Array exponent = mlxc::right_shift(float_bits, integer(23, DType::s32));
  const Array zeros = mlxc::subtract(integer(127 + width - 1, DType::s32), exponent);
  return mlxc::minimum(zeros, integer(width, DType::s32));  // of 0 the exponent is 0
}

Array population_count(const Call& call) {
  const DType type = unsigned_of(call.dtype(0));
  const int width = bits(type);
  const auto shifted = [type](const Array& x, int by) {
    return mlxc::right_shift(x, integer(by, type));
  };
  const auto masked = [type](const Array& x, std::uint64_t mask) {
    return mlxc::bitwise_and(x, constant(mask, type));
  };
  // Counts of pairs, then of fours, then of bytes; a product adds all bytes up in the highest one.
  Array x = unsigned_view(operand(call, 0), call.dtype(0));
  x = mlxc::subtract(x, masked(shifted(x, 1), 0x5555555555555555));
  x = mlxc::add(masked(x, 0x3333333333333333), masked(shifted(x, 2), 0x3333333333333333));
  x = masked(mlxc::add(x, shifted(x, 4)), 0x0f0f0f0f0f0f0f0f);
  if (width == 8) return x;
  return shifted(mlxc::multiply(x, constant(std::uint64_t{0x0101010101010101}, type)), width - 8);
}

}  // namespace mlxnx::ops::math
