// Floats of few bits, as numbers of f32.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace mlxnx::kernels {

/// Powers of two by their exponent, which is that of an f32; the least one is subnormal.
constexpr float from_e8m0(std::uint32_t bits) {
  return std::bit_cast<float>(bits == 0 ? 0x400000U : bits << 23);
}

constexpr float from_e4m3(std::uint32_t bits) {
  if ((bits & 0x7F) == 0x7F) return std::numeric_limits<float>::quiet_NaN();
  const std::uint32_t exponent = bits >> 3 & 15, mantissa = bits & 7;
  float value = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8) / 512;
  for (std::uint32_t i = 1; i < exponent; ++i) value *= 2;
  return (bits & 0x80) != 0 ? -value : value;
}

constexpr float from_e2m1(std::uint32_t bits) {
  constexpr float kValues[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  return (bits & 8) != 0 ? -kValues[bits & 7] : kValues[bits & 7];
}

constexpr float from_f16(std::uint32_t bits) {
  const std::uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const std::uint32_t sign = (bits & 0x8000) << 16;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) / 16777216;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

constexpr float from_bf16(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

constexpr std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<std::uint16_t>(bits >> 16 | 64);  // NaN
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

constexpr std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
  std::uint32_t half = 0;
  if (size > 0x7F800000) {  // NaN
    half = 0x7E00;
  } else if (size >= 0x47800000) {  // from 2^16 on
    half = 0x7C00;
  } else if (size >= 0x38800000) {  // from 2^-14 on
    half = (size - 0x38000000 + 0xFFF + (size >> 13 & 1)) >> 13;
  } else {
    // The sum with 0.5 has 2^-24 as its last digit.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3F000000;
  }
  return static_cast<std::uint16_t>(sign | half);
}

template <std::size_t kCount>
constexpr std::array<float, kCount> table_of(float (*from)(std::uint32_t)) {
  std::array<float, kCount> table{};
  for (std::uint32_t i = 0; i < kCount; ++i) table[i] = from(i);
  return table;
}
alignas(64) inline constexpr auto kE8m0 = table_of<256>(from_e8m0);
alignas(64) inline constexpr auto kE4m3 = table_of<256>(from_e4m3);
alignas(64) inline constexpr auto kE2m1 = table_of<16>(from_e2m1);

}  // namespace mlxnx::kernels
