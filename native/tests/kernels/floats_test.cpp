#include "kernels/floats.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using Floats = testing_support::EachKind;

constexpr Float kTypes[] = {Float::kF16, Float::kBf16};

// Read bit by bit.
double value_of(Float type, std::uint32_t bits) {
  const int digits = type == Float::kF16 ? 10 : 7, most = type == Float::kF16 ? 31 : 255;
  const auto exponent = static_cast<int>(bits >> digits) & most;
  const double fraction = bits & ((1U << digits) - 1), sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == most) return fraction == 0 ? sign * INFINITY : NAN;
  const double whole = exponent == 0 ? fraction : fraction + std::ldexp(1, digits);
  return sign * std::ldexp(whole, std::max(exponent, 1) - most / 2 - digits);
}

std::vector<std::uint16_t> all_halves() {
  std::vector<std::uint16_t> all(65536);
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  return all;
}

TEST_F(Floats, BecomeWideAndNarrowAgain) {
  const std::vector<std::uint16_t> all = all_halves();
  for_each_kind([&] {
    for (const Float type : kTypes) {
      std::vector<float> wide(all.size());
      widen(type, all.data(), std::ssize(all), wide.data());
      std::vector<std::uint16_t> back(all.size());
      narrow(wide.data(), std::ssize(all), type, back.data());
      for (std::size_t i = 0; i < all.size(); ++i) {
        const double wanted = value_of(type, all[i]);
        if (std::isnan(wanted)) {
          ASSERT_TRUE(std::isnan(wide[i])) << i;
          ASSERT_TRUE(std::isnan(value_of(type, back[i]))) << i;
        } else {
          ASSERT_EQ(wide[i], wanted) << i;
          ASSERT_EQ(std::signbit(wide[i]), std::signbit(wanted)) << i;
          ASSERT_EQ(back[i], all[i]);
        }
      }
    }
  });
}

TEST_F(Floats, AreWidenedInAnyNumber) {
  for_each_kind([&] {
    for (std::int64_t count = 0; count < 70; ++count) {
      const std::vector<std::uint16_t> ones(static_cast<std::size_t>(count), 0x3F80);
      std::vector<float> wide(static_cast<std::size_t>(count) + 1, 7);
      widen(Float::kBf16, ones.data(), count, wide.data());
      EXPECT_EQ(std::accumulate(wide.begin(), wide.end(), 0.0F), static_cast<float>(count + 7));
    }
  });
}

// What lies between two neighbours goes to the nearer one, from the middle to the even one.
TEST_F(Floats, AreRoundedToTheNearest) {
  for_each_kind([&] {
    for (const Float type : kTypes) {
      std::vector<float> between;
      std::vector<std::uint16_t> wanted;
      const std::uint16_t infinity = type == Float::kF16 ? 0x7C00 : 0x7F80;
      for (std::uint16_t i = 0; i + 1 < infinity; i = static_cast<std::uint16_t>(i + 7)) {
        const double low = value_of(type, i), high = value_of(type, i + 1U);
        const auto middle = static_cast<float>((low + high) / 2);
        if ((low + high) / 2 != static_cast<double>(middle)) continue;  // below all f32
        const auto next = static_cast<std::uint16_t>(i + 1);
        between.insert(between.end(),
                       {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, INFINITY)});
        wanted.insert(wanted.end(), {i % 2 == 0 ? i : next, i, next});
      }
      between.insert(between.end(), {3.4028234e38F, INFINITY});
      wanted.insert(wanted.end(), {infinity, infinity});
      std::vector<std::uint16_t> got(between.size());
      narrow(between.data(), std::ssize(between), type, got.data());
      for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], wanted[i]) << between[i];
    }
  });
}

}  // namespace
}  // namespace mlxnx::kernels
