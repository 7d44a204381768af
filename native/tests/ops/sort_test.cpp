#include "mlxnx/ops/sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "error_of.h"
#include "mlxnx/literal.h"
#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "ops/numbers.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::NanSensitiveDoubleEq;
using testing::Pointwise;
using testing_support::elements;
using testing_support::error_of;
using testing_support::mask;
using testing_support::numbers;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Direction kDown = Direction::kDescending;

TEST(Sort, OrdersAnyAxisBothWays) {
  const Tensor t = tensor({{3, 1, 2}, {0, 5, 4}});
  EXPECT_THAT(elements(sort(t)), ElementsAre(0, 1, 2, 3, 5, 4));
  EXPECT_THAT(elements(sort(t, {.axis = 1})), ElementsAre(1, 2, 3, 0, 4, 5));
  EXPECT_THAT(elements(sort(t, {.axis = -1, .direction = kDown})), ElementsAre(3, 2, 1, 5, 4, 0));
  EXPECT_EQ(sort(t).type(), t.type());
  EXPECT_THAT(elements(argsort(t, {.axis = 1})), ElementsAre(1, 2, 0, 0, 2, 1));
  EXPECT_EQ(argsort(t).type(), (TensorType{DType::s32, {2, 3}}));
  EXPECT_EQ(argsort(t, {.type = DType::u8}).dtype(), DType::u8);
  EXPECT_THAT(elements(sort(mask({1, 0, 1}))), ElementsAre(0, 1, 1));
}

TEST(Sort, OrdersLongRowsBothWays) {
  std::mt19937 draw(5);
  std::vector<float> values(3 * 9'000);
  for (float& value : values) value = static_cast<float>(static_cast<int>(draw() % 4'001) - 2'000);
  const Tensor rows = Tensor::from_span(std::span<const float>(values), {3, 9'000});
  for (auto row = values.begin(); row != values.end(); row += 9'000) std::sort(row, row + 9'000);
  const std::vector<double> wanted(values.begin(), values.end());
  std::vector<double> backwards = wanted;
  for (auto row = backwards.begin(); row != backwards.end(); row += 9'000)
    std::reverse(row, row + 9'000);
  const Tensor columns = transpose(rows);
  const std::vector<Tensor> views = {rows, reverse(rows, {.axes = Axes{1}}),
                                     transpose(reshape(flatten(columns), {9'000, 3}))};
  for (const Tensor& view : views) {
    EXPECT_EQ(elements(sort(view, {.axis = 1})), wanted);
    EXPECT_EQ(elements(sort(view, {.axis = 1, .direction = kDown})), backwards);
  }
  EXPECT_EQ(elements(transpose(sort(columns))), wanted);
  EXPECT_EQ(elements(sort(rows)), elements(transpose(sort(columns, {.axis = 1}))));
  // Exact in f16 too, which is sorted as f32.
  EXPECT_EQ(elements(sort(as_type(rows, DType::f16), {.axis = 1})), wanted);
}

TEST(Sort, PutsNanAboveInfinity) {
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    const Tensor t = numbers(type, {5}, {kNaN, -kInfinity, 0, kInfinity, kNaN});
    EXPECT_THAT(elements(sort(t)),
                Pointwise(NanSensitiveDoubleEq(), {-kInfinity, 0.0, kInfinity, kNaN, kNaN}));
    EXPECT_THAT(elements(sort(t, {.direction = kDown})),
                Pointwise(NanSensitiveDoubleEq(), {kNaN, kNaN, kInfinity, 0.0, -kInfinity}));
    EXPECT_THAT(elements(argsort(t)), ElementsAre(1, 2, 3, 0, 4));
    EXPECT_THAT(elements(argsort(t, {.direction = kDown})), ElementsAre(0, 4, 3, 2, 1));
  }
}

TEST(Sort, KeepsTheTwoZerosInTheirOrder) {
  for (const Direction direction : {Direction::kAscending, kDown}) {
    const auto zeros = elements(sort(tensor({0.0, -0.0, 0.0}), {.direction = direction}));
    EXPECT_THAT(std::vector<bool>({std::signbit(zeros[0]), std::signbit(zeros[1])}),
                ElementsAre(false, true));
    EXPECT_THAT(elements(argsort(tensor({0.0, -0.0, 0.0}), {.direction = direction})),
                ElementsAre(0, 1, 2));
  }
}

// Small integers from -4 to 4: many ties; some NaN for floats.
std::vector<double> ties(DType type, std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<double> values(count);
  for (double& value : values) {
    value = static_cast<double>(generator() % 9) - (is_unsigned(type) ? 0 : 4);
    if (is_float(type) && generator() % 16 == 0) value = kNaN;
  }
  return values;
}

std::vector<double> order_naively(std::span<const double> values, bool down) {
  std::vector<double> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto rank = [&](double at) {
    const double value = values[static_cast<std::size_t>(at)];
    const double key = std::isnan(value) ? kInfinity : value;
    return down ? -key : key;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](double a, double b) { return rank(a) < rank(b); });
  return order;
}

TEST(Argsort, IsStableBothWaysForEveryType) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    for (const std::size_t count : {40u, 3000u}) {
      const auto values = ties(type, count, 11);
      const Tensor t = numbers(type, {static_cast<std::int64_t>(count)}, values);
      for (const Direction direction : {Direction::kAscending, kDown}) {
        EXPECT_EQ(elements(argsort(t, {.direction = direction})),
                  order_naively(values, direction == kDown))
            << name(type) << " " << count;
      }
    }
  }
}

TEST(TopK, IsTheBeginningOfTheDescendingOrder) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    for (const std::int64_t length : {5, 1024, 5000}) {
      const auto n = static_cast<std::size_t>(length);
      const auto values = ties(type, 2 * n, 12);
      const Tensor t = numbers(type, {2, length}, values);
      for (const std::int64_t k : {1, 3, 100}) {
        if (k > length) continue;
        const auto [top, places] = top_k(t, k);
        EXPECT_EQ(top.type(), (TensorType{type, {2, k}}));
        EXPECT_EQ(places.type(), (TensorType{DType::s32, {2, k}}));
        std::vector<double> expected, expected_values;
        for (const std::size_t row : {std::size_t{0}, n}) {
          const auto order = order_naively(std::span(values).subspan(row, n), true);
          for (std::size_t i = 0; i < static_cast<std::size_t>(k); ++i) {
            expected.push_back(order[i]);
            expected_values.push_back(values[row + static_cast<std::size_t>(order[i])]);
          }
        }
        EXPECT_EQ(elements(places), expected) << name(type) << " " << length << " " << k;
        EXPECT_THAT(elements(top), Pointwise(NanSensitiveDoubleEq(), expected_values));
      }
    }
  }
}

TEST(TopK, OrdersTheExtremesOfTypes) {
  std::vector<double> values(2000, 0.0);
  values[7] = kInfinity;
  values[8] = -kInfinity;
  values[1500] = kNaN;
  values[1999] = 1e300;
  const auto [top, places] = top_k(numbers(DType::f64, {2000}, values), 4);
  EXPECT_THAT(elements(places), ElementsAre(1500, 7, 1999, 0));
  const Tensor longs =
      as_type(numbers(DType::s32, {2000}, std::vector<double>(2000, -5)), DType::u64);
  EXPECT_EQ(top_k(longs, 2).values.to_vector<std::uint64_t>()[0], static_cast<std::uint64_t>(-5));
}

TEST(Sort, OfNoElementsHasNone) {
  const Tensor t = numbers(DType::f32, {0, 3}, {});
  for (const std::int64_t axis : {0, 1}) {
    EXPECT_EQ(sort(t, {.axis = axis}).to_vector<float>().size(), 0u);
    EXPECT_EQ(argsort(t, {.axis = axis, .direction = kDown}).to_vector<std::int32_t>().size(), 0u);
  }
  EXPECT_EQ(top_k(t, 2).indices.to_vector<std::int32_t>().size(), 0u);
}

TEST(Sort, SaysWhatIsWrong) {
  EXPECT_EQ(error_of<ShapeError>([] { sort(tensor({1}), {.axis = 1}); }),
            "[sort] axis 1 is out of bounds for shape {1}");
  EXPECT_THAT(error_of<ShapeError>([] { argsort(tensor(1)); }), HasSubstr("shape {}"));
  EXPECT_THAT(error_of<TypeError>([] { argsort(tensor({std::complex<double>(1, 2)})); }),
              HasSubstr("[argsort] complex numbers have no order"));
  EXPECT_EQ(error_of<ArgumentError>([] {
              ops::invoke(ops::op("sort"), {tensor({1})}, {{"direction", std::string("up")}});
            }),
            "[sort] direction is \"asc\" or \"desc\", got \"up\"");
  EXPECT_EQ(error_of<ShapeError>([] {
              top_k(tensor({1, 2}), 3);
            }),
            "[block:TopK] k is 3, and the last axis of shape {2} has only 2 elements");
  EXPECT_THAT(error_of<ArgumentError>([] { top_k(tensor({1, 2}), 0); }), HasSubstr("at least 1"));
  EXPECT_THAT(error_of<ShapeError>([] { top_k(tensor(1)); }), HasSubstr("rank 1"));
}

}  // namespace
}  // namespace mlxnx
