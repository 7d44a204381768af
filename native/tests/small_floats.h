// Floats of 8 bits by their definition (OCP's Microscaling formats, version 1.0).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace mlxnx::testing_support {

/// Sign, exponent and `fraction` bits; the widest exponent is one like others.
inline float plain_float(std::uint8_t bits, int fraction) {
  const int bias = (1 << (6 - fraction)) - 1;
  const int exponent = (bits & 0x7f) >> fraction, rest = bits & ((1 << fraction) - 1);
  const double magnitude = exponent == 0
                               ? std::ldexp(rest, 1 - bias - fraction)
                               : std::ldexp(rest + (1 << fraction), exponent - bias - fraction);
  return static_cast<float>((bits & 0x80) != 0 ? -magnitude : magnitude);
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline float e4m3(std::uint8_t bits) { return (bits & 0x7f) == 0x7f ? kNan : plain_float(bits, 3); }
inline float e5m2(std::uint8_t bits) {
  const int magnitude = bits & 0x7f;
  if (magnitude > 0x7c) return kNan;
  const float infinity = std::numeric_limits<float>::infinity();
  return magnitude == 0x7c ? (bits > 0x7f ? -infinity : infinity) : plain_float(bits, 2);
}
inline float e8m0(std::uint8_t bits) { return bits == 0xff ? kNan : std::ldexp(1.0f, bits - 127); }

}  // namespace mlxnx::testing_support
