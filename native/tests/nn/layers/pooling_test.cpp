// Windows beside each other and overlapping ones, padding, ties and integers.
#include "mlxnx/nn/pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;
using Values = std::vector<double>;

Tensor sequence(std::initializer_list<Literal> values) {
  return reshape(tensor(values), {1, static_cast<std::int64_t>(values.size()), 1});
}

TEST(Pools, TakeWindowsBesideEachOtherAndLeaveTheRest) {
  const Tensor x = sequence({1.0, 5.0, 3.0, 2.0, 9.0});
  EXPECT_EQ(in_f64(MaxPool1d({.kernel_size = 2})(x)), (Values{5, 3}));
  EXPECT_EQ(in_f64(AvgPool1d({.kernel_size = 2})(x)), (Values{3, 2.5}));
}

TEST(Pools, TakeWindowsThatOverlapOrHaveGaps) {
  const Tensor x = sequence({1.0, 5.0, 3.0, 2.0, 9.0});
  EXPECT_EQ(in_f64(MaxPool1d({.kernel_size = 3, .stride = 1})(x)), (Values{5, 5, 9}));
  EXPECT_EQ(in_f64(AvgPool1d({.kernel_size = 2, .stride = 1})(x)), (Values{3, 4, 2.5, 5.5}));
  EXPECT_EQ(in_f64(MaxPool1d({.kernel_size = 1, .stride = 2})(x)), (Values{1, 3, 9}));
}

TEST(Pools, CountPaddingAsZeroOrNothing) {
  const Tensor x = sequence({-1.0, -5.0, -3.0});
  EXPECT_EQ(in_f64(MaxPool1d({.kernel_size = 2, .padding = 1})(x)), (Values{-1, -3}));
  EXPECT_EQ(in_f64(AvgPool1d({.kernel_size = 2, .padding = 1})(x)), (Values{-0.5, -4}));
  EXPECT_EQ(in_f64(MaxPool1d({.kernel_size = 2, .padding = 1})(sequence({-1, -5, -3}))),
            (Values{-1, -3}));
}

TEST(Pools, WorkOnImagesAndVolumes) {
  const Tensor image = reshape(iota({2 * 4 * 6 * 2}, {.type = DType::f64}), {2, 4, 6, 2});
  EXPECT_EQ(MaxPool2d({.kernel_size = {2, 3}})(image).shape(), (Shape{2, 2, 2, 2}));
  // The last element of each window is the largest.
  EXPECT_EQ(in_f64(slice(MaxPool2d({.kernel_size = {2, 3}})(image), {0, 0, 0, 0}, {1, 2, 2, 2})),
            (Values{16, 17, 22, 23, 40, 41, 46, 47}));
  const Tensor y = AvgPool2d({.kernel_size = {2, 3}, .stride = 1})(image);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 4, 2}));
  EXPECT_EQ(in_f64(slice(y, {0, 0, 0, 0}, {1, 1, 1, 2})), (Values{8, 9}));
  const Tensor volume = reshape(iota({64}, {.type = DType::f64}), {1, 4, 4, 4, 1});
  EXPECT_EQ(in_f64(AvgPool3d({.kernel_size = 4})(volume)), (Values{31.5}));
  EXPECT_EQ(in_f64(MaxPool3d({.kernel_size = 3, .stride = 1, .padding = 1})(volume)).back(), 63);
}

TEST(Pools, ShareTheGradientAmongEqualElements) {
  const auto total = [](const Tensor& x, const PoolOptions& options) {
    return in_f64(grad([&](const Tensor& in) { return sum(MaxPool1d(options)(in)); })(x));
  };
  const Tensor x = sequence({2.0, 2.0, 2.0, 1.0});
  EXPECT_EQ(total(x, {.kernel_size = 2}), (Values{0.5, 0.5, 1, 0}));
  EXPECT_EQ(total(x, {.kernel_size = 2, .stride = 1}), (Values{0.5, 1, 1.5, 0}));
  EXPECT_EQ(total(x, {.kernel_size = 2, .padding = 1}), (Values{1, 0.5, 0.5, 1}));
}

TEST(Pools, SpreadTheGradientOfMeans) {
  const auto total = [](const Tensor& in) {
    return sum(AvgPool1d({.kernel_size = 2, .stride = 1, .padding = 1})(in));
  };
  EXPECT_EQ(in_f64(grad(total)(sequence({2.0, 2.0, 1.0}))), (Values{1, 1, 1}));
}

TEST(Pools, KeepNaNAndTypes) {
  const Tensor x = sequence({1.0, std::numeric_limits<double>::quiet_NaN(), 0.0, 1.0});
  const Values y = in_f64(MaxPool1d({.kernel_size = 2})(x));
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 1);
  for (const DType type : {DType::f16, DType::bf16, DType::f64}) {
    EXPECT_EQ(MaxPool1d({.kernel_size = 2})(as_type(x, type)).dtype(), type);
    EXPECT_EQ(AvgPool1d({.kernel_size = 2, .stride = 1})(as_type(x, type)).dtype(), type);
  }
  EXPECT_EQ(AvgPool1d({.kernel_size = 2})(sequence({1, 2})).dtype(), DType::f32);
  EXPECT_EQ(MaxPool1d({.kernel_size = 2})(sequence({1, 2})).dtype(), DType::s32);
}

TEST(Pools, DoNotOverflowWhereTheMeanFits) {
  const Tensor x = as_type(sequence({60000.0, 60000.0, 57632.0}), DType::f16);
  EXPECT_EQ(in_f64(AvgPool1d({.kernel_size = 2})(x)), (Values{60000}));
  EXPECT_EQ(in_f64(AvgPool1d({.kernel_size = 2, .stride = 1})(x)), (Values{60000, 58816}));
}

TEST(Pools, AreCompiledAndMapped) {
  const Tensor x = as_type(sin(iota({3, 7, 7, 2})), DType::f32);
  const auto pool = [](const Tensor& in) {
    return MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})(in);
  };
  const Values wanted = in_f64(pool(x));
  EXPECT_EQ(in_f64(jit(pool)(x)), wanted);
  EXPECT_EQ(in_f64(vmap([&](const Tensor& in) { return pool(new_axis(in, 0)); })(x)), wanted);
}

TEST(Pools, SayWhatDoesNotFit) {
  EXPECT_EQ(error_of<ArgumentError>([] { MaxPool2d({}); }),
            "[max_pool2d] kernel_size has to be given");
  EXPECT_EQ(error_of<ArgumentError>([] { AvgPool1d({.kernel_size = 2, .stride = -1}); }),
            "[avg_pool1d] stride is -1, it has to be at least 1");
  EXPECT_EQ(error_of<ShapeError>([] { MaxPool2d({.kernel_size = 2})(sequence({1.0})); }),
            "[max_pool2d] f32[1][1][1] should have the axes batch, 2 spatial, channels");
  EXPECT_EQ(error_of<ShapeError>([] {
              AvgPool1d({.kernel_size = 3})(sequence({1.0, 2.0}));
            }),
            "[avg_pool1d] a window of {3} is larger than f32[1][2][1] with a padding of {0}");
  const auto layer = nn::layer("max_pool1d");
  EXPECT_EQ(error_of<ArgumentError>([&] { make(layer, {}, key(0)); }),
            "[max_pool1d] the attribute kernel_size (int list) is missing");
}

}  // namespace
}  // namespace mlxnx::nn
