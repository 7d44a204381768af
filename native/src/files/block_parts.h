// Pieces that ggml's blocks are made of, as the functions that decode and repack them read them.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mlxnx::files {

using BlockBytes = const std::uint8_t*;

inline std::uint16_t u16_at(BlockBytes bytes) {
  std::uint16_t number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

inline std::uint32_t u32_at(BlockBytes bytes) {
  std::uint32_t number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

/// The float of the bits of an f16.
inline float f16_as_f32(std::uint16_t half) {
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
inline std::uint16_t f32_as_f16(float number) {
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

inline float f16_at(BlockBytes bytes) { return f16_as_f32(u16_at(bytes)); }

/// The scales and the minima of the eight groups of Q4_K and Q5_K, 6 bits each.
struct GroupScales {
  std::array<std::uint8_t, 8> scale, minimum;
};

inline GroupScales group_scales(BlockBytes packed) {
  GroupScales groups;
  for (int i = 0; i < 4; ++i) {
    const std::uint8_t low = packed[i], middle = packed[4 + i], high = packed[8 + i];
    groups.scale[i] = low & 63;
    groups.minimum[i] = middle & 63;
    groups.scale[4 + i] = static_cast<std::uint8_t>((high & 15) | ((low >> 2) & 48));
    groups.minimum[4 + i] = static_cast<std::uint8_t>((high >> 4) | ((middle >> 2) & 48));
  }
  return groups;
}

/// Where ggml takes the scales of NVFP4 for 0, and for 480 where the sign's bit is set, which is
/// otherwise not looked at.
inline constexpr std::uint8_t kUe4m3Nan = 0x7f;

}  // namespace mlxnx::files
