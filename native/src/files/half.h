// Floats of 16 bits as numbers of f32, and back.
#pragma once

#include <bit>
#include <cstdint>

namespace mlxnx::files {

/// The float of the bits of an f16.
constexpr float f16_as_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = half & 0x7c00U;
  const std::uint32_t magnitude = (half & 0x7fffU) << 13;
  if (exponent == 0) {  // the smallest normal number, less its implied one
    const float lifted = std::bit_cast<float>(magnitude + (113U << 23));
    const float subnormal = lifted - std::bit_cast<float>(113U << 23);
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(subnormal) | sign);
  }
  const std::uint32_t bias = exponent == 0x7c00U ? 224U << 23 : 112U << 23;
  return std::bit_cast<float>((magnitude + bias) | sign);
}

/// The bits of the f16 that is nearest, of two the even one; infinity where that is beyond f16.
constexpr std::uint16_t f32_as_f16(float number) {
  const auto bits = std::bit_cast<std::uint32_t>(number);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  constexpr std::uint32_t kInfinity = 255U << 23, kBeyond = 143U << 23, kLeastNormal = 113U << 23;
  const auto with_sign = [sign](std::uint32_t half) {
    return static_cast<std::uint16_t>(half | sign);
  };
  if (magnitude > kInfinity) return with_sign(0x7e00U | (magnitude >> 13 & 0x3ffU));
  if (magnitude >= kBeyond) return with_sign(0x7c00U);
  if (magnitude <
      kLeastNormal) {  // adding a half leaves the bits of a subnormal in the lowest ones
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return with_sign(std::bit_cast<std::uint32_t>(shifted) - (126U << 23));
  }
  const std::uint32_t rounded = magnitude + 0xfffU + (magnitude >> 13 & 1U);
  return with_sign((rounded - (112U << 23)) >> 13);
}

/// The float of the bits of a bf16.
constexpr float bf16_as_f32(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// The bits of the bf16 that is nearest, of two the even one.
constexpr std::uint16_t f32_as_bf16(float number) {
  const auto bits = std::bit_cast<std::uint32_t>(number);
  if ((bits & 0x7fffffffU) > 0x7f800000U)
    return static_cast<std::uint16_t>(bits >> 16 | 64);  // NaN
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

}  // namespace mlxnx::files
