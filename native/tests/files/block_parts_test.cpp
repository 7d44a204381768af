#include "files/block_parts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mlxnx::files {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What the bits of an f16 that is not negative mean.
float meaning(int half) {
  const int exponent = half >> 10, mantissa = half & 1023;
  if (exponent == 31) return mantissa == 0 ? kInfinity : std::nanf("");
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -24);
  return std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
}

TEST(BlockParts, WidenEveryHalf) {
  for (int half = 0; half < 0x8000; ++half) {
    const float expected = meaning(half);
    const float positive = f16_as_f32(static_cast<std::uint16_t>(half));
    const float negative = f16_as_f32(static_cast<std::uint16_t>(half | 0x8000));
    EXPECT_FALSE(std::signbit(positive)) << half;
    EXPECT_TRUE(std::signbit(negative)) << half;
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(positive) && std::isnan(negative)) << half;
    } else {
      EXPECT_EQ(positive, expected) << half;
      EXPECT_EQ(negative, -expected) << half;
    }
  }
}

TEST(BlockParts, NarrowToTheNearestHalf) {
  for (int half = 0; half < 0x7c00; ++half) {
    const float exact = meaning(half);
    const float next = half == 0x7bff ? 65536 : meaning(half + 1);
    const float middle = (exact + next) / 2;
    const int even = half % 2 == 0 ? half : half + 1;
    for (const int sign : {0, 0x8000}) {
      const float factor = sign == 0 ? 1 : -1;
      EXPECT_EQ(f32_as_f16(factor * exact), half | sign);
      EXPECT_EQ(f32_as_f16(factor * std::nextafter(middle, 0.0f)), half | sign);
      EXPECT_EQ(f32_as_f16(factor * middle), even | sign);
      EXPECT_EQ(f32_as_f16(factor * std::nextafter(middle, kInfinity)), (half + 1) | sign);
    }
  }
}

TEST(BlockParts, NarrowWhatHasNoHalf) {
  EXPECT_EQ(f32_as_f16(kInfinity), 0x7c00);
  EXPECT_EQ(f32_as_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(f32_as_f16(1e30f), 0x7c00);
  EXPECT_EQ(f32_as_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_as_f16(std::nanf("")) & 0x7e00, 0x7e00);
  // The bits that f16 keeps of this NaN are those of infinity.
  EXPECT_EQ(f32_as_f16(std::bit_cast<float>(0x7f800001U)) & 0x7e00, 0x7e00);
}

}  // namespace
}  // namespace mlxnx::files
