// What dropout leaves: how much, of what size, and whole channels.
#include "mlxnx/nn/dropout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

TEST(Dropout, KeepsAShareAndTheMean) {
  const Dropout layer({.p = 0.2});
  const Tensor x = broadcast(Tensor(2.0), {100, 100});
  const std::vector<double> y = in_f64(layer(x, key(1)));
  EXPECT_THAT(y, testing::Each(testing::AnyOf(0.0, 2.5)));
  const double kept = static_cast<double>(std::count(y.begin(), y.end(), 2.5)) / 1e4;
  EXPECT_NEAR(kept, 0.8, 5 * std::sqrt(0.16 / 1e4));
  EXPECT_EQ(y, in_f64(layer(x, key(1))));
  EXPECT_NE(y, in_f64(layer(x, key(2))));
}

TEST(Dropout, LeavesTensorsAsTheyAreOutsideOfTraining) {
  const Tensor x = tensor({1.0, 2.0});
  EXPECT_EQ(in_f64(Dropout()(x)), (std::vector<double>{1, 2}));
  EXPECT_EQ(in_f64(Dropout({.p = 0})(x, key(1))), (std::vector<double>{1, 2}));
}

TEST(Dropout, ZeroesEvenInfinitiesAndKeepsTypes) {
  const Tensor x =
      broadcast(Tensor(Number(std::numeric_limits<double>::infinity()), DType::f16), {64});
  const Tensor y = Dropout()(x, key(1));
  EXPECT_EQ(y.dtype(), DType::f16);
  EXPECT_THAT(in_f64(y), testing::AllOf(testing::Contains(0.0),
                                        testing::Not(testing::Contains(testing::IsNan()))));
}

TEST(Dropout, HasTheGradientOfWhatItKept) {
  const auto drop = [](const Tensor& x, const Tensor& k) { return Dropout()(x, k); };
  const Tensor x = broadcast(Tensor(1.0), {32});
  EXPECT_EQ(in_f64(grad(drop)(x, key(3))), in_f64(drop(x, key(3))));
  EXPECT_EQ(in_f64(jit(drop)(x, key(3))), in_f64(drop(x, key(3))));
}

TEST(Dropout, ChoosesForEachExampleByItsKey) {
  const auto drop = [](const Tensor& x, const Tensor& k) { return Dropout()(x, k); };
  const Tensor x = broadcast(Tensor(1.0), {2, 32});
  const std::vector<double> both = in_f64(vmap(drop)(x, stack({key(1), key(2)})));
  const Tensor one = broadcast(Tensor(1.0), {32});
  std::vector<double> wanted = in_f64(drop(one, key(1)));
  for (const double value : in_f64(drop(one, key(2)))) wanted.push_back(value);
  EXPECT_EQ(both, wanted);
}

TEST(Dropout, TakesWholeChannels) {
  const Tensor image = broadcast(Tensor(1.0), {8, 5, 5, 16});
  const Tensor flat = Dropout2d()(image, key(1));
  const std::vector<double> sums = in_f64(sum(flat, {.axes = Axes{1, 2}}));
  EXPECT_THAT(sums, testing::Each(testing::AnyOf(0.0, 50.0)));
  EXPECT_THAT(sums, testing::AllOf(testing::Contains(0.0), testing::Contains(50.0)));
  const Tensor volume = broadcast(Tensor(1.0), {2, 2, 2, 64});
  EXPECT_THAT(in_f64(sum(Dropout3d()(volume, key(1)), {.axes = Axes{0, 1, 2}})),
              testing::AllOf(testing::Each(testing::AnyOf(0.0, 16.0)), testing::Contains(0.0),
                             testing::Contains(16.0)));
}

TEST(Dropout, SaysWhatItDoesNotTake) {
  EXPECT_EQ(error_of<ArgumentError>([] { Dropout({.p = 1}); }),
            "[dropout] p is 1, it has to be at least 0 and less than 1");
  EXPECT_THROW(Dropout2d({.p = -0.5}), ArgumentError);
  EXPECT_THROW(Dropout3d({.p = std::nan("")}), ArgumentError);
  EXPECT_EQ(error_of<ShapeError>([] { Dropout2d()(tensor({1.0})); }),
            "[dropout2d] f32[1] should have the axes batch (if any), height, width, channels");
  EXPECT_THROW(Dropout3d()(broadcast(Tensor(1.0), {2, 2, 2})), ShapeError);
  const std::optional<Tensor> x = tensor({1.0});
  const auto layer = make(nn::layer("dropout"), {}, key(0));
  EXPECT_EQ(error_of<ArgumentError>([&] {
              call(*layer, {&x, 1});
            }),
            "[dropout] needs the operand key, or the option training to be false");
  EXPECT_NO_THROW(call(*layer, {&x, 1}, {{"training", false}}));
}

}  // namespace
}  // namespace mlxnx::nn
