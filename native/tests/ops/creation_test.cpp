#include "mlxnx/ops/creation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "error_of.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::elements;
using testing_support::error_of;
using testing_support::ints;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Constant, HoldsTheValueInEveryTypeAndShape) {
  for (const DType type : kDTypes) {
    EXPECT_THAT(elements(constant(3, type, {2, 3})), AllOf(SizeIs(6), Each(3.0))) << name(type);
    EXPECT_EQ(constant(3, type).type(), (TensorType{type, {}}));
    EXPECT_THAT(elements(constant(3, type, {2, 0})), IsEmpty()) << name(type);
  }
}

TEST(Constant, KeepsExtremesAndNonFiniteValues) {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(constant(most, DType::u64).item<std::uint64_t>(), most);
  const auto least = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(constant(least, DType::s64, {1}).item<std::int64_t>(), least);
  EXPECT_EQ(constant(-1, DType::u8).item<int>(), 255);
  const std::complex<double> z(1.5, -2.0);
  EXPECT_EQ(constant(z, DType::c64, {1}).item<std::complex<double>>(), z);
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    EXPECT_EQ(constant(kInfinity, type).item<double>(), kInfinity) << name(type);
    EXPECT_EQ(constant(-kInfinity, type).item<double>(), -kInfinity) << name(type);
    EXPECT_TRUE(std::isnan(constant(std::nan(""), type).item<double>())) << name(type);
  }
}

TEST(Constant, RoundsHalfFloatsToNearestEvenInOneStep) {
  EXPECT_EQ(constant(2049.0, DType::f16).item<double>(), 2048.0);
  EXPECT_EQ(constant(2051.0, DType::f16).item<double>(), 2052.0);
  EXPECT_EQ(constant(257.0, DType::bf16).item<double>(), 256.0);
  // Through f32 this would first become the tie 1 + 2^-8 and then fall to 1.
  EXPECT_EQ(constant(1.0 + std::ldexp(1.0, -8) + std::ldexp(1.0, -40), DType::bf16).item<double>(),
            1.0 + std::ldexp(1.0, -7));
  EXPECT_EQ(constant(70000.0, DType::f16).item<double>(), kInfinity);
}

TEST(Constant, RefusesNegativeAndUncountableShapes) {
  EXPECT_EQ(error_of<ShapeError>([] {
              constant(0, DType::u8, {2, -1});
            }),
            "[constant] a dimension is negative in {2, -1}");
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  EXPECT_THROW(constant(0, DType::u8, {kHuge, kHuge}), UnsupportedError);
  EXPECT_THROW(constant(0, DType::u8, {kHuge}), UnsupportedError);
  constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();
  EXPECT_THROW(constant(0, DType::u8, {kLargest, kLargest, 4}), ShapeError);
}

TEST(Fill, MergesTypesAndKeepsTheShape) {
  const Tensor filled = fill(iota({2, 2}), 1.5);
  EXPECT_EQ(filled.type(), (TensorType{DType::f32, {2, 2}}));
  EXPECT_THAT(elements(filled), Each(1.5));
}

TEST(Iota, CountsThroughAllElementsOrAlongAnAxis) {
  EXPECT_THAT(elements(iota({2, 3})), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(elements(iota({2, 3}, {.axis = 0})), ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(elements(iota({2, 3}, {.axis = -1})), ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(elements(iota({})), ElementsAre(0));
  EXPECT_THAT(elements(iota({3, 0})), IsEmpty());
  EXPECT_THAT(elements(iota({3, 0}, {.axis = 0})), IsEmpty());
  EXPECT_EQ(iota({2}).dtype(), DType::s32);
}

TEST(Iota, IsExactInEveryType) {
  constexpr std::int64_t kCount = 3000;
  for (const DType type : kDTypes) {
    const auto counted = elements(iota({kCount}, {.type = type}));
    ASSERT_EQ(counted.size(), kCount);
    for (std::size_t i = 0; i < counted.size(); ++i) {
      // What a number of this value becomes in the type: integers wrap, half floats round.
      const double expected = constant(static_cast<std::int64_t>(i), type).item<double>();
      ASSERT_EQ(counted[i], expected) << name(type) << " " << i;
    }
  }
}

TEST(Iota, CountsPastTheIntegersThatF32HoldsOneByOne) {
  constexpr std::int64_t kCount = (1 << 24) + 8;
  const Tensor counted = iota({kCount}, {.type = DType::f32});
  EXPECT_EQ(counted.to_vector<float>().back(), static_cast<float>(kCount - 1));
}

TEST(Iota, RefusesAnUnknownAxis) {
  EXPECT_EQ(error_of<ShapeError>([] {
              iota({2, 3}, {.axis = 2});
            }),
            "[iota] axis 2 is out of bounds for shape {2, 3}");
  EXPECT_THROW(iota({}, {.axis = 0}), ShapeError);
}

TEST(Iota, RefusesMoreElementsThanMlxCounts) {
  EXPECT_EQ(error_of<UnsupportedError>([] {
              iota({65536, 65536}, {.type = DType::u8});
            }),
            "[iota] MLX counts through at most 2147483647 elements, {65536, 65536} has 4294967296");
  EXPECT_EQ(
      error_of<UnsupportedError>([] {
        iota({2, std::int64_t{1} << 31});
      }),
      "[iota] axis 1 of s32[2][2147483648] is too long: a dimension can have at most 2147483647 "
      "elements, since MLX counts in 32 bits");
}

TEST(Eye, HasOnesOnTheDiagonalOfTheLastTwoAxes) {
  for (const DType type : kDTypes) {
    EXPECT_THAT(elements(eye(2, {.type = type})), ElementsAre(1, 0, 0, 1)) << name(type);
  }
  EXPECT_THAT(elements(eye({2, 3})), ElementsAre(1, 0, 0, 0, 1, 0));
  EXPECT_THAT(elements(eye({3, 2})), ElementsAre(1, 0, 0, 1, 0, 0));
  EXPECT_THAT(elements(eye({2, 1, 2, 2})), ElementsAre(1, 0, 0, 1, 1, 0, 0, 1));
  EXPECT_THAT(elements(eye({1, 1})), ElementsAre(1));
  EXPECT_THAT(elements(eye({0, 3})), IsEmpty());
  EXPECT_EQ(eye({2, 1, 2, 2}).type(), (TensorType{DType::s32, {2, 1, 2, 2}}));
}

TEST(Eye, NeedsTwoDimensions) {
  EXPECT_EQ(error_of<ShapeError>([] { eye(Shape{3}); }),
            "[eye] the shape needs at least 2 dimensions, got {3}");
  EXPECT_THAT(error_of<ShapeError>([] { eye(-1); }), HasSubstr("{-1, -1}"));
}

}  // namespace
}  // namespace mlxnx
