#include "mlxnx/nn/convolution.h"

#include <fmt/format.h>

#include <cmath>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"

namespace mlxnx::nn {
namespace {

template <std::size_t spatial>
std::string conv_called(std::string_view base) {
  return fmt::format("{}{}d", base, spatial);
}

struct FirstWeights {
  Tensor weight;
  std::optional<Tensor> bias;
};

// What both kinds of convolutions begin with.
FirstWeights first_weights(std::int64_t inputs, std::int64_t outputs, const Axes& kernel,
                           std::int64_t groups, bool has_bias, const Tensor& key,
                           const std::string& layer) {
  at_least(1, inputs, "in_channels", layer);
  at_least(1, outputs, "out_channels", layer);
  at_least(1, groups, "groups", layer);
  if (inputs % groups != 0 || outputs % groups != 0) {
    throw ArgumentError(fmt::format(
        "[{}] in_channels ({}) and out_channels ({}) should be multiples of groups ({})", layer,
        inputs, outputs, groups));
  }
  Shape shape{outputs};
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  shape.push_back(inputs / groups);
  const double bound =
      1 / std::sqrt(static_cast<double>(inputs) * static_cast<double>(element_count(kernel)));
  const Tensor own = split_key(key, 1, layer).front();
  return {random::uniform(own, shape, {.low = -bound, .high = bound}),
          has_bias ? std::optional(zeros({outputs})) : std::nullopt};
}

// Batch and channels, which are the first and last axis, and the spatial axes between.
Axes channels_last(std::size_t spatial) {
  Axes order{0, static_cast<std::int64_t>(spatial) + 1};
  for (std::size_t i = 0; i < spatial; ++i) order.push_back(static_cast<std::int64_t>(i) + 1);
  return order;
}

void check(const Tensor& x, std::size_t spatial, std::int64_t channels, const std::string& layer) {
  require_spatial(x, spatial, layer);
  require_last_axis(x, channels, layer);
}

// `options` beside the order of the axes.
Tensor convolved(const Tensor& x, const Tensor& weight, ConvOptions options) {
  const Axes order = channels_last(x.rank() - 2);
  options.input_permutation = options.kernel_permutation = options.output_permutation = order;
  return conv(x, weight, options);
}

}  // namespace

template <std::size_t spatial>
Conv<spatial>::Conv(const ConvLayerOptions& options, const Tensor& key) : groups(options.groups) {
  const std::string layer = conv_called<spatial>("conv");
  stride = on_each(spatial, options.stride, 1, "stride", layer);
  padding = on_each(spatial, options.padding, 0, "padding", layer);
  dilation = on_each(spatial, options.dilation, 1, "dilation", layer);
  const Axes kernel = on_each(spatial, options.kernel_size, 1, "kernel_size", layer);
  auto first = first_weights(options.in_channels, options.out_channels, kernel, groups,
                             options.bias, key, layer);
  weight = std::move(first.weight);
  bias = std::move(first.bias);
}

template <std::size_t spatial>
Tensor Conv<spatial>::operator()(const Tensor& x) const {
  check(x, spatial, weight.shape().back() * groups, conv_called<spatial>("conv"));
  std::vector<EdgePadding> edges;
  for (const std::int64_t zeros : padding) edges.push_back({zeros, zeros});
  return plus_bias(convolved(x, weight,
                             {.strides = stride,
                              .padding = edges,
                              .kernel_dilation = dilation,
                              .feature_group_size = groups}),
                   bias);
}

template <std::size_t spatial>
ConvTranspose<spatial>::ConvTranspose(const ConvTransposeOptions& options, const Tensor& key) {
  const std::string layer = conv_called<spatial>("conv_transpose");
  stride = on_each(spatial, options.stride, 1, "stride", layer);
  padding = on_each(spatial, options.padding, 0, "padding", layer);
  dilation = on_each(spatial, options.dilation, 1, "dilation", layer);
  output_padding = on_each(spatial, options.output_padding, 0, "output_padding", layer);
  const Axes kernel = on_each(spatial, options.kernel_size, 1, "kernel_size", layer);
  auto first =
      first_weights(options.in_channels, options.out_channels, kernel, 1, options.bias, key, layer);
  weight = std::move(first.weight);
  bias = std::move(first.bias);
}

template <std::size_t spatial>
Tensor ConvTranspose<spatial>::operator()(const Tensor& x) const {
  check(x, spatial, weight.shape().back(), conv_called<spatial>("conv_transpose"));
  std::vector<EdgePadding> edges;
  Axes spatial_axes;
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t reach = dilation[i] * (weight.shape()[i + 1] - 1);
    edges.push_back({reach - padding[i], reach - padding[i] + output_padding[i]});
    spatial_axes.push_back(static_cast<std::int64_t>(i) + 1);
  }
  return plus_bias(
      convolved(x, reverse(weight, {.axes = spatial_axes}),
                {.padding = edges, .input_dilation = stride, .kernel_dilation = dilation}),
      bias);
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;
template struct ConvTranspose<1>;
template struct ConvTranspose<2>;
template struct ConvTranspose<3>;

namespace {

const LayerDef kConvolutionLayers[] = {
    layer_row<Conv1d>("conv1d"),
    layer_row<Conv2d>("conv2d"),
    layer_row<Conv3d>("conv3d"),
    layer_row<ConvTranspose1d>("conv_transpose1d"),
    layer_row<ConvTranspose2d>("conv_transpose2d"),
    layer_row<ConvTranspose3d>("conv_transpose3d"),
};

}  // namespace

std::span<const LayerDef> convolution_layers() { return kConvolutionLayers; }

}  // namespace mlxnx::nn
