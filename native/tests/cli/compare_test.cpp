// What counts as equal to Nx's answer.
#include "replay/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>

namespace mlxnx::cli {
namespace {

using testing::HasSubstr;

constexpr float kNan = NAN;

template <typename T>
std::optional<std::string> compare(DType type, const std::vector<T>& expected,
                                   const std::vector<T>& got) {
  const TensorType tensor_type{type, {static_cast<std::int64_t>(expected.size())}};
  return difference({tensor_type, std::as_bytes(std::span(expected))},
                    {tensor_type, std::as_bytes(std::span(got))});
}

TEST(Compare, WantsIntegersExactly) {
  EXPECT_FALSE(compare<std::int32_t>(DType::s32, {1, -2}, {1, -2}));
  EXPECT_TRUE(compare<std::int32_t>(DType::s32, {1, -2}, {1, -1}));
  EXPECT_TRUE(compare<std::uint64_t>(DType::u64, {~std::uint64_t{0}}, {~std::uint64_t{0} - 1}));
}

TEST(Compare, AllowsAbsoluteOrRelativeDifferences) {
  EXPECT_FALSE(compare<float>(DType::f32, {0.0F, 1e6F}, {0.9e-4F, 1e6F + 90.0F}));
  EXPECT_TRUE(compare<float>(DType::f32, {0.0F}, {1.1e-4F}));
  EXPECT_TRUE(compare<float>(DType::f32, {1e6F}, {1e6F + 110.0F}));
  EXPECT_FALSE(compare<double>(DType::f64, {1.0}, {1.0 + 0.9e-9}));
  EXPECT_TRUE(compare<double>(DType::f64, {1.0}, {1.0 + 1.1e-9}));
}

TEST(Compare, TreatsNanAsEqualAndInfinitiesBySign) {
  EXPECT_FALSE(compare<float>(DType::f32, {kNan, INFINITY}, {-kNan, INFINITY}));
  EXPECT_TRUE(compare<float>(DType::f32, {kNan}, {1.0F}));
  EXPECT_TRUE(compare<float>(DType::f32, {1.0F}, {kNan}));
  EXPECT_TRUE(compare<float>(DType::f32, {INFINITY}, {-INFINITY}));
  EXPECT_TRUE(compare<float>(DType::f32, {INFINITY}, {3e38F}));
}

TEST(Compare, MeasuresComplexPartsByTheMagnitude) {
  using C = std::complex<float>;
  EXPECT_FALSE(compare<C>(DType::c64, {C(1e6F, 0)}, {C(1e6F, 50)}));
  EXPECT_TRUE(compare<C>(DType::c64, {C(1e6F, 0)}, {C(1e6F, 150)}));
  EXPECT_FALSE(compare<C>(DType::c64, {C(kNan, 1)}, {C(kNan, 1)}));
  EXPECT_TRUE(compare<C>(DType::c64, {C(kNan, 1)}, {C(kNan, 2)}));
  EXPECT_TRUE(compare<C>(DType::c64, {C(INFINITY, 1)}, {C(INFINITY, 1.1F)}));
}

TEST(Compare, TellsWhereAndHowMany) {
  const std::vector<std::uint8_t> expected = {1, 2, 3, 4, 5, 6};
  const std::vector<std::uint8_t> got = {1, 2, 3, 9, 5, 7};
  const TensorType type{DType::u8, {2, 3}};
  const auto text =
      difference({type, std::as_bytes(std::span(expected))}, {type, std::as_bytes(std::span(got))});
  EXPECT_EQ(text, "element [1][0] is 9, expected 4 (2 of 6 elements differ)");
}

TEST(Compare, CutsLongLists) {
  const std::vector<std::uint8_t> values = {1, 2, 3};
  const GoldenTensor tensor{{DType::u8, {3}}, std::as_bytes(std::span(values))};
  EXPECT_EQ(elements_text(tensor, 3), "[1, 2, 3]");
  EXPECT_EQ(elements_text(tensor, 2), "[1, 2, …]");
}

}  // namespace
}  // namespace mlxnx::cli
