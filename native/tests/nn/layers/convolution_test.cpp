// Convolutions against sums written out, their transposes against the slopes of convolutions.
#include "mlxnx/nn/convolution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

Tensor numbers(const Shape& shape, DType type = DType::f64) {
  return as_type(sin(iota(shape, {.type = DType::f64}) * 12.9898), type);
}

template <typename Layer>
Layer in_f64_weights(const Layer& layer) {
  Parameters all;
  for (const auto& [name, tensor] : named_tensors(layer))
    all.emplace(name, numbers(tensor.shape()));
  return load_parameters(layer, all);
}

TEST(ConvLayers, SlidesAlongChannelsThatComeLast) {
  const Conv1d fresh({.in_channels = 2, .out_channels = 1, .kernel_size = 2}, key(0));
  const Conv1d layer = load_parameters(
      fresh, {{"weight", tensor({{{1.0, 10.0}, {100.0, 1000.0}}})}, {"bias", tensor({0.5})}});
  const Tensor y = layer(tensor({{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}}}));
  EXPECT_EQ(y.shape(), (Shape{1, 2, 1}));
  EXPECT_EQ(in_f64(y), (std::vector<double>{4321.5, 6543.5}));
}

// One element of a convolution of images, by its sum.
double summed(const Conv2d& layer, const Tensor& x, std::int64_t row, std::int64_t column,
              std::int64_t filter) {
  const Shape in = x.shape(), w = layer.weight.shape();
  const std::vector<double> elements = in_f64(x), weights = in_f64(layer.weight);
  const std::int64_t group = filter / (w[0] / layer.groups);
  double sum = in_f64(*layer.bias).at(static_cast<std::size_t>(filter));
  for (std::int64_t i = 0; i < w[1]; ++i) {
    for (std::int64_t j = 0; j < w[2]; ++j) {
      const std::int64_t y = row * layer.stride[0] - layer.padding[0] + i * layer.dilation[0];
      const std::int64_t z = column * layer.stride[1] - layer.padding[1] + j * layer.dilation[1];
      if (y < 0 || z < 0 || y >= in[1] || z >= in[2]) continue;
      for (std::int64_t c = 0; c < w[3]; ++c) {
        const auto at = static_cast<std::size_t>((y * in[2] + z) * in[3] + group * w[3] + c);
        const auto by = static_cast<std::size_t>(((filter * w[1] + i) * w[2] + j) * w[3] + c);
        sum += elements[at] * weights[by];
      }
    }
  }
  return sum;
}

TEST(ConvLayers, TakesStridesPaddingDilationAndGroups) {
  const Conv2d layer = in_f64_weights(Conv2d({.in_channels = 4,
                                              .out_channels = 6,
                                              .kernel_size = {3, 2},
                                              .stride = {2, 1},
                                              .padding = {1, 2},
                                              .dilation = {1, 2},
                                              .groups = 2},
                                             key(0)));
  EXPECT_EQ(layer.weight.shape(), (Shape{6, 3, 2, 2}));
  const Tensor x = numbers({1, 6, 5, 4});
  const Tensor y = layer(x);
  ASSERT_EQ(y.shape(), (Shape{1, 3, 7, 6}));
  std::vector<double> wanted;
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t j = 0; j < 7; ++j)
      for (std::int64_t f = 0; f < 6; ++f) wanted.push_back(summed(layer, x, i, j, f));
  EXPECT_THAT(in_f64(y), Pointwise(DoubleNear(1e-12), wanted));
}

TEST(ConvLayers, WorksInThreeDimensionsCompiledAndMapped) {
  const Conv3d layer = in_f64_weights(
      Conv3d({.in_channels = 2, .out_channels = 3, .kernel_size = 2, .padding = 1}, key(0)));
  const Tensor x = numbers({2, 3, 4, 5, 2});
  const Tensor y = layer(x);
  EXPECT_EQ(y.shape(), (Shape{2, 4, 5, 6, 3}));
  const auto apply = [](const Conv3d& c, const Tensor& in) { return c(in); };
  EXPECT_THAT(in_f64(jit(apply)(layer, x)), Pointwise(DoubleNear(1e-12), in_f64(y)));
  const auto one = [](const Conv3d& c, const Tensor& in) { return c(new_axis(in, 0)); };
  EXPECT_THAT(in_f64(vmap(one, {std::nullopt, 0})(layer, x)),
              Pointwise(DoubleNear(1e-12), in_f64(y)));
}

// A convolution from 3 channels to 2 against its transpose with the same numbers.
void expect_transposed(const Axes& kernel, const Axes& stride, const Axes& dilation) {
  const Axes padding{1, 0};
  const Conv2d forth = in_f64_weights(Conv2d({.in_channels = 3,
                                              .out_channels = 2,
                                              .kernel_size = PerAxis(kernel),
                                              .stride = PerAxis(stride),
                                              .padding = PerAxis(padding),
                                              .dilation = PerAxis(dilation),
                                              .bias = false},
                                             key(0)));
  const Tensor x = numbers({2, 8, 9, 3});
  const Tensor g = numbers(forth(x).shape());
  ConvTransposeOptions options{.in_channels = 2,
                               .out_channels = 3,
                               .kernel_size = PerAxis(kernel),
                               .stride = PerAxis(stride),
                               .padding = PerAxis(padding),
                               .dilation = PerAxis(dilation),
                               .output_padding = {0, 0},
                               .bias = false};
  // What the strides leave over.
  for (std::size_t i = 0; i < 2; ++i) {
    options.output_padding.values[i] =
        x.shape()[i + 1] -
        ((g.shape()[i + 1] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + 1);
  }
  const ConvTranspose2d back =
      load_parameters(ConvTranspose2d(options, key(0)),
                      {{"weight", transpose(forth.weight, {.axes = Axes{3, 1, 2, 0}})}});
  const auto loss = [&](const Tensor& in) { return sum(forth(in) * g); };
  const Tensor wanted = grad(loss)(x), got = back(g);
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_THAT(in_f64(got), Pointwise(DoubleNear(1e-12), in_f64(wanted)));
}

TEST(ConvTransposeLayers, IsTheSlopeOfAConvolution) {
  expect_transposed({3, 2}, {1, 1}, {1, 1});
  expect_transposed({3, 2}, {2, 3}, {1, 2});
  // Without dilation, with kernels that are shorter, as long, and longer than the strides.
  expect_transposed({3, 2}, {2, 3}, {1, 1});
  expect_transposed({2, 3}, {2, 3}, {1, 1});
  expect_transposed({4, 5}, {1, 2}, {1, 1});
}

TEST(ConvTransposeLayers, PutsOutputPaddingAtTheEnd) {
  const ConvTranspose1d layer = load_parameters(
      ConvTranspose1d(
          {.in_channels = 1, .out_channels = 1, .kernel_size = 2, .stride = 3, .output_padding = 2},
          key(0)),
      {{"weight", tensor({{{1.0}, {2.0}}})}, {"bias", tensor({0.0})}});
  EXPECT_EQ(in_f64(layer(tensor({{{1.0}, {10.0}}}))), (std::vector<double>{1, 2, 0, 10, 20, 0, 0}));
}

TEST(ConvLayers, BeginsWithinMlxsBounds) {
  const Conv2d layer({.in_channels = 4, .out_channels = 50, .kernel_size = 5, .groups = 2}, key(1));
  const double bound = 0.1;
  EXPECT_LT(reduce_max(abs(layer.weight)).item<double>(), bound + 1e-7);
  EXPECT_GT(reduce_max(abs(layer.weight)).item<double>(), bound * 0.99);
  EXPECT_EQ(sum(abs(*layer.bias)).item<double>(), 0);
}

TEST(ConvLayers, KeepsTypes) {
  const Conv1d fresh({.in_channels = 2, .out_channels = 3, .kernel_size = 2}, key(0));
  for (const DType type : {DType::f16, DType::bf16, DType::f64}) {
    const Conv1d layer = load_parameters(
        fresh, {{"weight", as_type(fresh.weight, type)}, {"bias", as_type(*fresh.bias, type)}});
    EXPECT_EQ(layer(numbers({1, 4, 2}, type)).dtype(), type);
  }
}

TEST(ConvLayers, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of<ArgumentError>([] { Conv2d({.in_channels = 1, .out_channels = 1}, key(0)); }),
            "[conv2d] kernel_size has to be given");
  EXPECT_EQ(error_of<ArgumentError>([] {
              Conv2d({.in_channels = 1, .out_channels = 1, .kernel_size = {1, 2, 3}}, key(0));
            }),
            "[conv2d] kernel_size is {1, 2, 3}, it takes one number, or one for each of 2 axes");
  EXPECT_EQ(error_of<ArgumentError>([] {
              Conv1d({.in_channels = 1, .out_channels = 1, .kernel_size = 1, .stride = 0}, key(0));
            }),
            "[conv1d] stride is 0, it has to be at least 1");
  EXPECT_EQ(error_of<ArgumentError>([] {
              Conv1d({.in_channels = 3, .out_channels = 2, .kernel_size = 1, .groups = 2}, key(0));
            }),
            "[conv1d] in_channels (3) and out_channels (2) should be multiples of groups (2)");
  const Conv2d layer({.in_channels = 3, .out_channels = 2, .kernel_size = 3}, key(0));
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(numbers({8, 8, 3}, DType::f32));
            }),
            "[conv2d] f32[8][8][3] should have the axes batch, 2 spatial, channels");
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(numbers({1, 3, 8, 8}, DType::f32));
            }),
            "[conv2d] the last axis of f32[1][3][8][8] should have 3 elements");
  EXPECT_THROW(layer(numbers({1, 2, 2, 3})), ArgumentError);
}

}  // namespace
}  // namespace mlxnx::nn
