// Pieces that ggml's blocks are made of, as the functions that decode and repack them read them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "files/half.h"

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
