#include "files/small_floats.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace mlxnx::files {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Sign, exponent and `mantissa_bits` of a float; the widest exponent is one like others.
float decoded(std::uint8_t element, int mantissa_bits) {
  const int exponent_bits = 7 - mantissa_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int mantissa = element & ((1 << mantissa_bits) - 1);
  const int exponent = (element & 0x7f) >> mantissa_bits;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits)
                              : std::ldexp(static_cast<float>(mantissa + (1 << mantissa_bits)),
                                           exponent - bias - mantissa_bits);
  return (element & 0x80) != 0 ? -magnitude : magnitude;
}

float decoded(StoredType type, std::uint8_t element) {
  switch (type) {
    case StoredType::kF8E4M3:
      return (element & 0x7f) == 0x7f ? kNan : decoded(element, 3);
    case StoredType::kF8E5M2:
      if ((element & 0x7f) > 0x7c) return kNan;
      if ((element & 0x7f) == 0x7c)
        return std::copysign(std::numeric_limits<float>::infinity(), decoded(element, 2));
      return decoded(element, 2);
    default:
      return element == 0xff ? kNan : std::ldexp(1.0f, element - 127);
  }
}

}  // namespace

std::uint16_t small_float_as_bf16(StoredType type, std::uint8_t element) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(decoded(type, element)) >> 16);
}

void small_floats_as_bf16(StoredType type, std::span<const std::byte> elements,
                          std::span<std::uint16_t> out) {
  std::array<std::uint16_t, 256> table;
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = small_float_as_bf16(type, static_cast<std::uint8_t>(i));
  for (std::size_t i = 0; i < elements.size(); ++i)
    out[i] = table[std::to_integer<std::uint8_t>(elements[i])];
}

}  // namespace mlxnx::files
