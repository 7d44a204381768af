// Floats of 16 bits as numbers of f32, and back.
#pragma once

#include <cstdint>

namespace mlxnx::kernels {

enum class Float : std::uint8_t { kF32, kF16, kBf16 };

inline std::int64_t size_of(Float type) { return type == Float::kF32 ? 4 : 2; }

/// `type` is kF16 or kBf16.
void widen(Float type, const std::uint16_t* from, std::int64_t count, float* to);

/// Rounds to the nearest, of two to the even one.
void narrow(const float* from, std::int64_t count, Float type, std::uint16_t* to);

}  // namespace mlxnx::kernels
