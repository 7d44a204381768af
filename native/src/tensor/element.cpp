#include "tensor/element.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace mlxnx::tensors {
namespace {

// Rounds a double to a 16-bit float with `mantissa_bits` of mantissa: once, straight from the
// double, because going through f32 would round twice.
std::uint16_t to_half_float(double value, int mantissa_bits, int exponent_bits) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const int max_exponent = (1 << (exponent_bits - 1)) - 1;
  const std::uint16_t infinity =
      static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << mantissa_bits);
  if (std::isnan(value))
    return sign | infinity | static_cast<std::uint16_t>(1 << (mantissa_bits - 1));
  const double magnitude = std::abs(value);
  if (std::isinf(value)) return sign | infinity;
  if (magnitude == 0.0) return sign;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, 1 - max_exponent);  // subnormals share the smallest exponent
  const double steps = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
  // `steps` carries the implicit bit, so adding the biased exponent less one makes overflow of the
  // mantissa carry into it.
  const double bits =
      steps + std::ldexp(static_cast<double>(exponent + max_exponent - 1), mantissa_bits);
  return sign | (bits >= infinity ? infinity : static_cast<std::uint16_t>(bits));
}

double from_half_float(std::uint16_t bits, int mantissa_bits, int exponent_bits) {
  const int max_exponent = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - max_exponent - mantissa_bits);
  return sign *
         std::ldexp(mantissa + (1 << mantissa_bits), exponent - max_exponent - mantissa_bits);
}

template <typename T>
void store(T value, std::byte* out) {
  std::memcpy(out, &value, sizeof value);
}

template <typename T>
T load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

std::complex<double> as_complex(const Number& value) {
  return std::visit(
      [](auto v) -> std::complex<double> {
        if constexpr (std::is_same_v<decltype(v), std::complex<double>>) {
          return v;
        } else {
          return static_cast<double>(v);
        }
      },
      value);
}

}  // namespace

std::uint64_t integer_bits(const Number& value, DType type) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return static_cast<std::uint64_t>(*i);
  if (const auto* u = std::get_if<std::uint64_t>(&value)) return *u;
  const double real = as_complex(value).real();
  if (std::isnan(real)) return 0;
  if (std::isinf(real)) {
    const std::uint64_t sign_bit = std::uint64_t{1} << (bits(type) - 1);
    if (is_unsigned(type)) return real > 0 ? ~std::uint64_t{0} : 0;
    return real > 0 ? sign_bit - 1 : sign_bit;
  }
  const auto magnitude =
      static_cast<std::uint64_t>(std::fmod(std::abs(std::trunc(real)), std::ldexp(1.0, 64)));
  return real < 0 ? -magnitude : magnitude;
}

void encode(const Number& value, DType type, std::byte* out) {
  if (is_integer(type)) {
    static_assert(std::endian::native == std::endian::little);
    const std::uint64_t bits = integer_bits(value, type);
    std::memcpy(out, &bits, size_bytes(type));
    return;
  }
  const std::complex<double> number = as_complex(value);
  switch (type) {
    case DType::f16:
      store(to_half_float(number.real(), 10, 5), out);
      break;
    case DType::bf16:
      store(to_half_float(number.real(), 7, 8), out);
      break;
    case DType::f32:
      store(static_cast<float>(number.real()), out);
      break;
    case DType::f64:
      store(number.real(), out);
      break;
    default:
      store(std::complex<float>(number), out);
      break;
  }
}

Number decode(DType type, const std::byte* in) {
  switch (type) {
    case DType::u8:
      return static_cast<std::int64_t>(load<std::uint8_t>(in));
    case DType::u16:
      return static_cast<std::int64_t>(load<std::uint16_t>(in));
    case DType::u32:
      return static_cast<std::int64_t>(load<std::uint32_t>(in));
    case DType::u64:
      return load<std::uint64_t>(in);
    case DType::s8:
      return static_cast<std::int64_t>(load<std::int8_t>(in));
    case DType::s16:
      return static_cast<std::int64_t>(load<std::int16_t>(in));
    case DType::s32:
      return static_cast<std::int64_t>(load<std::int32_t>(in));
    case DType::s64:
      return load<std::int64_t>(in);
    case DType::f16:
      return from_half_float(load<std::uint16_t>(in), 10, 5);
    case DType::bf16:
      return from_half_float(load<std::uint16_t>(in), 7, 8);
    case DType::f32:
      return static_cast<double>(load<float>(in));
    case DType::f64:
      return load<double>(in);
    case DType::c64:
      return std::complex<double>(load<std::complex<float>>(in));
  }
  throw TypeError("[decode] unknown element type");
}

double lowest(DType type) {
  switch (type) {
    case DType::f16:
      return -65504;
    case DType::bf16:
      return -0x1.FEp127;
    case DType::f64:
      return std::numeric_limits<double>::lowest();
    default:
      return std::numeric_limits<float>::lowest();
  }
}

}  // namespace mlxnx::tensors
