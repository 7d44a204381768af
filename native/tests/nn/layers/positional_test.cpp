#include "mlxnx/nn/positional.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "mlxnx/mlxnx.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::wave;

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance) {
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_THAT(in_f64(got), Pointwise(DoubleNear(tolerance), in_f64(wanted)));
}

// Row `place` of `x`, turned by the definition.
std::vector<double> turned(const std::vector<double>& x, std::size_t dims, double place,
                           bool traditional) {
  std::vector<double> y = x;
  for (std::size_t i = 0; i < dims / 2; ++i) {
    const double angle = place * std::pow(10000, -2.0 * static_cast<double>(i) / dims);
    const std::size_t a = traditional ? 2 * i : i, b = traditional ? 2 * i + 1 : i + dims / 2;
    y[a] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
    y[b] = x[a] * std::sin(angle) + x[b] * std::cos(angle);
  }
  return y;
}

TEST(RoPE, TurnsPairsByTheirPlace) {
  for (const bool traditional : {false, true}) {
    const RoPE layer({.dims = 6, .traditional = traditional, .scale = 0.5});
    const Tensor x = wave({2, 3, 4, 8}, 0);
    const std::vector<double> rows = in_f64(x), got = in_f64(layer(x, 7));
    for (std::size_t row = 0; row < 24; ++row) {
      const auto begin = static_cast<std::ptrdiff_t>(8 * row);
      const std::vector<double> one(rows.begin() + begin, rows.begin() + begin + 8);
      EXPECT_THAT(std::vector(got.begin() + begin, got.begin() + begin + 8),
                  Pointwise(DoubleNear(1e-14),
                            turned(one, 6, 0.5 * (7 + static_cast<double>(row % 4)), traditional)));
    }
  }
}

TEST(RoPE, TakesAnOffsetThatIsComputedAndNoBatch) {
  const RoPE layer({.dims = 4});
  const Tensor x = wave({5, 4}, 0);
  const auto apply = [&](const Tensor& in, const Tensor& offset) { return layer(in, offset); };
  const auto compiled = jit(apply);
  for (const int offset : {0, 3}) expect_near(compiled(x, Tensor(offset)), layer(x, offset), 1e-15);
  EXPECT_EQ(compiled.cache_size(), 1u);
  expect_near(layer(new_axis(x, 0), 3), new_axis(layer(x, 3), 0), 0);
  expect_near(vmap(apply, {std::nullopt, 0})(x, tensor({1, 2})), stack({layer(x, 1), layer(x, 2)}),
              1e-15);
}

TEST(RoPE, KeepsLengthsAndTypes) {
  const RoPE layer({.dims = 4, .traditional = true});
  const Tensor x = wave({1, 3, 4}, 0);
  // A turn: the gradient of the sum of squares is that of x.
  const Tensor slope = grad([&](const Tensor& in) {
    const Tensor y = layer(in, 5);
    return sum(y * y);
  })(x);
  expect_near(slope, x * 2, 1e-14);
  for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
    const Tensor y = layer(as_type(x, type), 5);
    EXPECT_EQ(y.dtype(), type);
    expect_near(y, layer(x, 5), type == DType::f32 ? 1e-6 : 1e-2);
  }
  EXPECT_EQ(layer(iota({1, 2, 4})).dtype(), DType::f32);
}

TEST(RoPE, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of<ArgumentError>([] { RoPE({.dims = 5}); }),
            "[rope] dims is 5, it has to be even");
  EXPECT_THROW(RoPE({.dims = 0}), ArgumentError);
  EXPECT_THROW(RoPE(RoPEOptions{}), ArgumentError);
  EXPECT_EQ(error_of<ArgumentError>([] { RoPE({.dims = 2, .base = -1}); }),
            "[rope] base is -1, it has to be more than 0");
  const RoPE layer({.dims = 4});
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(wave({1, 2, 3}, 0));
            }),
            "[rope] rows of f64[1][2][3] have less than the 4 numbers to be turned");
  EXPECT_THROW(layer(wave({4}, 0)), ShapeError);
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(wave({1, 2, 4}, 0), tensor({1, 2}));
            }),
            "[rope] the offset should be a scalar, got s32[2]");
}

TEST(SinusoidalPositionalEncoding, HasFrequenciesFromTheHighestToTheLowest) {
  const SinusoidalPositionalEncoding layer({.dims = 6, .min_freq = 0.01, .max_freq = 1});
  const double scale = std::sqrt(1.0 / 3), x = 2.5;
  const auto wanted = [&](double turn) {
    std::vector<double> values;
    for (const double frequency : {1.0, 0.1, 0.01})
      values.push_back(scale * std::sin(turn * x * frequency));
    for (const double frequency : {1.0, 0.1, 0.01})
      values.push_back(scale * std::cos(turn * x * frequency));
    return values;
  };
  const Tensor place = tensor({x}, DType::f64);
  EXPECT_THAT(in_f64(layer(place)), Pointwise(DoubleNear(1e-15), wanted(1)));
  const SinusoidalPositionalEncoding turns(
      {.dims = 6, .min_freq = 0.01, .max_freq = 1, .full_turns = true});
  EXPECT_THAT(in_f64(turns(place)), Pointwise(DoubleNear(1e-15), wanted(2 * std::numbers::pi)));
  const SinusoidalPositionalEncoding other({.dims = 2, .scale = 3.0, .cos_first = true});
  EXPECT_THAT(in_f64(other(place)),
              Pointwise(DoubleNear(1e-15), std::vector{3 * std::cos(x), 3 * std::sin(x)}));
}

TEST(SinusoidalPositionalEncoding, AddsAnAxisAndIsAtLeastF32) {
  const SinusoidalPositionalEncoding layer({.dims = 4});
  EXPECT_EQ(layer(iota({2, 3})).type(), (TensorType{DType::f32, {2, 3, 4}}));
  EXPECT_EQ(layer(wave({2}, 0, DType::f16)).dtype(), DType::f32);
  EXPECT_EQ(layer(Tensor(1.0)).shape(), Shape{4});
  EXPECT_EQ(error_of<ArgumentError>([] { SinusoidalPositionalEncoding({.dims = 3}); }),
            "[sinusoidal_positional_encoding] dims is 3, it has to be even");
  EXPECT_THROW(SinusoidalPositionalEncoding({.dims = 4, .min_freq = 0}), ArgumentError);
}

TEST(ALiBi, TakesDistancesOffScores) {
  const Tensor scores = wave({2, 4, 2, 5}, 0), mask = wave({2, 5}, 1);
  std::vector<double> wanted = in_f64(scores);
  const std::vector<double> added = in_f64(mask);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::size_t k = i % 5, q = i / 5 % 2, head = i / 10 % 4;
    const double distance = std::abs(static_cast<double>(q + 3) - static_cast<double>(k));
    wanted[i] += added[5 * q + k] - distance * std::exp2(-2.0 * static_cast<double>(head + 1));
  }
  EXPECT_THAT(in_f64(ALiBi()(scores, 3, mask)), Pointwise(DoubleNear(1e-15), wanted));
}

TEST(ALiBi, HasASlopeForAnyNumberOfHeads) {
  // The distance of the only query from the second key is 1.
  const auto slopes = [](std::int64_t heads) {
    const Tensor y = ALiBi()(constant(0.0, DType::f64, {1, heads, 1, 2}));
    return in_f64(-slice_along_axis(y, 1, 1, {.axis = 3}));
  };
  EXPECT_EQ(slopes(1), (std::vector{std::exp2(-8.0)}));
  EXPECT_EQ(slopes(2), (std::vector{std::exp2(-4.0), std::exp2(-8.0)}));
  EXPECT_EQ(slopes(3), (std::vector{std::exp2(-4.0), std::exp2(-8.0), std::exp2(-2.0)}));
  EXPECT_EQ(slopes(6)[4], std::exp2(-1.0));
  EXPECT_EQ(slopes(6)[5], std::exp2(-3.0));
}

TEST(ALiBi, KeepsTypesAndSaysWhatDoesNotFit) {
  for (const DType type : {DType::f16, DType::bf16, DType::f32})
    EXPECT_EQ(ALiBi()(wave({1, 2, 3, 3}, 0, type)).dtype(), type);
  EXPECT_THROW(ALiBi()(wave({3, 3}, 0)), ShapeError);
  const auto apply = [](const Tensor& scores) { return ALiBi()(scores, 1); };
  const Tensor scores = wave({2, 2, 3, 3}, 0);
  expect_near(jit(vmap(apply))(scores), apply(scores), 0);
  expect_near(grad(apply)(scores), constant(1.0, DType::f64, {2, 2, 3, 3}), 0);
}

}  // namespace
}  // namespace mlxnx::nn
