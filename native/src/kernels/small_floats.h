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
