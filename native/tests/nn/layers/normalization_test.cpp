// Normalisation: over which axes, the state of batch_norm, types, and numbers far from zero.
#include "mlxnx/nn/normalization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

// Numbers without a pattern.
Tensor numbers(const Shape& shape, DType type = DType::f64) {
  const Tensor count = iota(shape, {.type = DType::f64});
  return as_type(sin(count * 12.9898) * 3 + count * 0.01, type);
}

// The mean and variance over `axes` of what a layer without weights answers.
void expect_normal(const Tensor& y, const Axes& axes, double near = 1e-9) {
  double count = 1;
  for (const std::int64_t axis : axes)
    count *= static_cast<double>(y.shape()[static_cast<std::size_t>(axis)]);
  EXPECT_THAT(in_f64(sum(y, {.axes = axes}) / count), testing::Each(DoubleNear(0, near)));
  EXPECT_THAT(in_f64(sum(y * y, {.axes = axes}) / count), testing::Each(DoubleNear(1, near)));
}

constexpr double kTiny = 1e-14;

TEST(Normalization, IsOverTheAxesOfEachLayer) {
  const Tensor x = numbers({2, 3, 5, 6});
  expect_normal(LayerNorm({.dims = 6, .eps = kTiny, .affine = false})(x), {3});
  expect_normal(InstanceNorm({.dims = 6, .eps = kTiny})(x), {1, 2});
  expect_normal(BatchNorm({.num_features = 6, .eps = kTiny}).train(x).first, {0, 1, 2});
  const GroupNormOptions each_third{.num_groups = 3, .dims = 6, .eps = kTiny, .affine = false};
  expect_normal(reshape(GroupNorm(each_third)(x), {2, 15, 2, 3}), {1, 2});
  GroupNormOptions neighbours = each_third;
  neighbours.pytorch_compatible = true;
  expect_normal(reshape(GroupNorm(neighbours)(x), {2, 15, 3, 2}), {1, 3});
  const Tensor by_root = RMSNorm({.dims = 6, .eps = kTiny})(x);
  EXPECT_THAT(in_f64(sum(by_root * by_root, {.axes = Axes{3}})),
              testing::Each(DoubleNear(6, 1e-9)));
}

TEST(Normalization, ScalesAndShifts) {
  const LayerNorm layer = load_parameters(
      LayerNorm({.dims = 2, .eps = kTiny}),
      {{"weight", tensor({2.0, 3.0}, DType::f64)}, {"bias", tensor({10.0, 20.0}, DType::f64)}});
  EXPECT_THAT(in_f64(layer(tensor({{1.0, 3.0}}, DType::f64))),
              Pointwise(DoubleNear(1e-9), {8.0, 23.0}));
}

TEST(Normalization, HasTheSlopesOfItsFormula) {
  // Central differences, in f64.
  const Tensor x = numbers({3, 4}), g = numbers({3, 4}) * 0.5 + 1;
  const auto loss = [&](const Tensor& in) {
    return sum(LayerNorm({.dims = 4})(in) * g) +
           sum(BatchNorm({.num_features = 4}).train(in).first * g) +
           sum(RMSNorm({.dims = 4})(in) * g);
  };
  const std::vector<double> slopes = in_f64(grad(loss)(x));
  constexpr double kStep = 1e-5;
  for (std::int64_t i = 0; i < 12; ++i) {
    const Tensor aside = reshape(as_type(equal(iota({12}), i), DType::f64), {3, 4}) * kStep;
    const double difference = (loss(x + aside) - loss(x - aside)).item<double>() / (2 * kStep);
    EXPECT_NEAR(slopes[static_cast<std::size_t>(i)], difference, 1e-7);
  }
}

TEST(Normalization, HasNoInfiniteSlopesWhereAllElementsAreEqual) {
  const Tensor x = broadcast(Tensor(2.5), {4, 4});
  const auto loss = [](const Tensor& in) {
    return sum(LayerNorm({.dims = 4})(in) * in) +
           sum(BatchNorm({.num_features = 4}).train(in).first * in);
  };
  EXPECT_THAT(in_f64(grad(loss)(x)), testing::Each(DoubleNear(0, 1e-6)));
}

TEST(Normalization, IsPreciseFarFromZeroAndForShortFloats) {
  const Tensor x = numbers({4, 64}) + 1000;
  const LayerNorm layer({.dims = 64});
  const std::vector<double> exact = in_f64(layer(x));
  EXPECT_THAT(in_f64(layer(as_type(x, DType::f32))), Pointwise(DoubleNear(1e-3), exact));
  // Sums of squares would be infinite in f16.
  const Tensor large = numbers({4, 64}) * 10'000;
  const Tensor half = as_type(large, DType::f16);
  EXPECT_THAT(in_f64(RMSNorm({.dims = 64})(half)),
              Pointwise(DoubleNear(4e-3), in_f64(RMSNorm({.dims = 64})(large))));
}

TEST(Normalization, KeepsTheTypeThatTensorAndWeightsMeetIn) {
  for (const DType type : {DType::f16, DType::bf16, DType::f64}) {
    EXPECT_EQ(LayerNorm({.dims = 4, .affine = false})(numbers({2, 4}, type)).dtype(), type);
    EXPECT_EQ(InstanceNorm({.dims = 4})(numbers({2, 3, 4}, type)).dtype(), type);
    const RMSNorm typed =
        load_parameters(RMSNorm({.dims = 4}), {{"weight", broadcast(Tensor(1.0, type), {4})}});
    EXPECT_EQ(typed(numbers({2, 4}, type)).dtype(), type);
  }
  EXPECT_EQ(RMSNorm({.dims = 4})(numbers({2, 4}, DType::bf16)).dtype(), DType::f32);
  EXPECT_EQ(LayerNorm({.dims = 4})(iota({2, 4})).dtype(), DType::f32);
}

TEST(BatchNorm, MovesItsStatisticsInTraining) {
  const BatchNorm layer({.num_features = 1, .momentum = 0.5});
  const Tensor x = tensor({{1.0}, {3.0}, {5.0}});
  const auto [y, next] = layer.train(x);
  EXPECT_THAT(in_f64(*next.running_mean), Pointwise(DoubleNear(1e-6), {1.5}));
  // The unbiased variance is 4.
  EXPECT_THAT(in_f64(*next.running_var), Pointwise(DoubleNear(1e-6), {2.5}));
  EXPECT_EQ(in_f64(*layer.running_mean), std::vector<double>{0});
  const double root = std::sqrt(2.5 + 1e-5);
  EXPECT_THAT(in_f64(next(x)), Pointwise(DoubleNear(1e-6), {-0.5 / root, 1.5 / root, 3.5 / root}));
}

TEST(BatchNorm, ToldByNameAnswersItsState) {
  const auto layer = make(nn::layer("batch_norm"), {{"num_features", std::int64_t{1}}}, key(0));
  const std::optional<Tensor> x = tensor({{1.0}, {3.0}});
  const LayerAnswer trained = call(*layer, {&x, 1});
  EXPECT_THAT(in_f64(trained.state.at("running_mean")), Pointwise(DoubleNear(1e-6), {0.2}));
  EXPECT_THAT(in_f64(trained.state.at("running_var")), Pointwise(DoubleNear(1e-6), {1.1}));
  const LayerAnswer used = call(*layer, {&x, 1}, {{"training", false}});
  EXPECT_EQ(in_f64(used.state.at("running_var")), std::vector<double>{1});
  const auto loaded = layer->with(trained.state, false);
  EXPECT_EQ(named_tensors(BatchNorm({.num_features = 1})).size(), loaded->parameters().size());
  EXPECT_THAT(in_f64(loaded->parameters()[2].second), Pointwise(DoubleNear(1e-6), {0.2}));
}

TEST(BatchNorm, WithoutRunningStatisticsUsesTheBatchAlways) {
  const BatchNorm layer({.num_features = 2, .affine = false, .track_running_stats = false});
  const Tensor x = numbers({5, 2});
  EXPECT_TRUE(parameters(layer).empty());
  EXPECT_EQ(in_f64(layer(x)), in_f64(layer.train(x).first));
}

TEST(BatchNorm, IsTrainedInOneCompiledStep) {
  const auto step = [](const BatchNorm& layer, const Tensor& x) {
    const auto loss = [](const BatchNorm& l, const Tensor& in) {
      auto [y, next] = l.train(in);
      return std::pair(sum(y * y * y), next);
    };
    return value_and_grad(loss, {.trainable = trainable()})(layer, x);
  };
  const BatchNorm layer({.num_features = 4});
  const Tensor x = numbers({6, 4}, DType::f32);
  const auto [result, slopes] = jit(step)(layer, x);
  const auto [wanted, wanted_slopes] = step(layer, x);
  EXPECT_THAT(in_f64(*result.second.running_var),
              Pointwise(DoubleNear(1e-5), in_f64(*wanted.second.running_var)));
  EXPECT_THAT(in_f64(*slopes.weight), Pointwise(DoubleNear(1e-4), in_f64(*wanted_slopes.weight)));
  EXPECT_THAT(in_f64(*slopes.running_mean), testing::Each(0.0));
}

TEST(Normalization, SaysWhatItDoesNotTake) {
  EXPECT_EQ(error_of<ArgumentError>([] { LayerNorm({.dims = 4, .eps = 0}); }),
            "[layer_norm] eps is 0, it has to be more than 0");
  EXPECT_EQ(error_of<ArgumentError>([] { GroupNorm({.num_groups = 4, .dims = 6}); }),
            "[group_norm] dims (6) should be a multiple of num_groups (4)");
  EXPECT_EQ(error_of<ShapeError>([] { LayerNorm({.dims = 4})(tensor({1.0})); }),
            "[layer_norm] the last axis of f32[1] should have 4 elements");
  EXPECT_EQ(error_of<ShapeError>([] { InstanceNorm({.dims = 1})(tensor({{1.0}})); }),
            "[instance_norm] f32[1][1] should have the axes batch, at least one other, channels");
  EXPECT_EQ(error_of<ShapeError>([] { BatchNorm({.num_features = 1}).train(tensor({{1.0}})); }),
            "[batch_norm] training needs two values for each channel, got f32[1][1]");
  EXPECT_THROW(BatchNorm({.num_features = 1})(tensor({1.0})), ShapeError);
}

}  // namespace
}  // namespace mlxnx::nn
