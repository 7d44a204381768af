#include "mlxnx/nn/convolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"

namespace mlxnx::nn {
namespace {

template <std::size_t spatial>
std::string called(std::string_view base) {
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
  return {random_uniform(own, shape, -bound, bound),
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
  const std::string layer = called<spatial>("conv");
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
  check(x, spatial, weight.shape().back() * groups, called<spatial>("conv"));
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
  const std::string layer = called<spatial>("conv_transpose");
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

namespace {

// The transpose of a convolution with strides is one without: it answers, for each place of the
// input, the elements that lie between it and the next one, as channels of their own. Zeros between
// the input's elements would be multiplied as well.
class Phases {
 public:
  Phases(const Tensor& weight, const Axes& stride) : spatial_(stride.size()), stride_(stride) {
    for (std::size_t i = 0; i < spatial_; ++i)
      reach_.push_back((weight.shape()[i + 1] + stride[i] - 1) / stride[i]);
    outputs_ = weight.shape().front();
  }

  // All elements, from the first one that the kernel reaches; perhaps more at the end.
  Tensor operator()(const Tensor& x, const Tensor& weight) const {
    std::vector<EdgePadding> edges;
    for (const std::int64_t reach : reach_) edges.push_back({reach - 1, reach - 1});
    return interleaved(convolved(x, kernel(weight), {.padding = edges}));
  }

 private:
  static std::int64_t axis(std::size_t i) { return static_cast<std::int64_t>(i); }

  // From [outputs, kernel…, inputs] to [phases… * outputs, places…, inputs], turned around.
  Tensor kernel(const Tensor& weight) const {
    const std::int64_t inputs = weight.shape().back();
    std::vector<AxisPadding> edges(weight.rank());
    Shape split{outputs_}, joined{element_count(stride_) * outputs_};
    Axes places, order;
    for (std::size_t i = 0; i < spatial_; ++i) {
      edges[i + 1].high = reach_[i] * stride_[i] - weight.shape()[i + 1];
      split.push_back(reach_[i]);
      split.push_back(stride_[i]);
      joined.push_back(reach_[i]);
      places.push_back(axis(2 * i + 1));
      order.push_back(axis(2 * i + 2));
    }
    split.push_back(inputs);
    joined.push_back(inputs);
    order.push_back(0);
    order.insert(order.end(), places.begin(), places.end());
    order.push_back(axis(2 * spatial_ + 1));
    const Tensor parts = reverse(reshape(pad(weight, 0, edges), split), {.axes = places});
    return reshape(transpose(parts, {.axes = order}), joined);
  }

  // From [batch, places…, phases… * outputs] to [batch, places and phases…, outputs].
  Tensor interleaved(const Tensor& y) const {
    Shape split(y.shape().begin(), y.shape().end() - 1), joined{y.shape().front()};
    split.insert(split.end(), stride_.begin(), stride_.end());
    split.push_back(outputs_);
    Axes order{0};
    for (std::size_t i = 0; i < spatial_; ++i) {
      joined.push_back(y.shape()[i + 1] * stride_[i]);
      order.push_back(axis(i + 1));
      order.push_back(axis(spatial_ + i + 1));
    }
    joined.push_back(outputs_);
    order.push_back(axis(2 * spatial_ + 1));
    return reshape(transpose(reshape(y, split), {.axes = order}), joined);
  }

  std::size_t spatial_;
  Axes stride_, reach_;
  std::int64_t outputs_ = 0;
};

bool are_ones(const Axes& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](std::int64_t n) { return n == 1; });
}

template <std::size_t spatial>
Tensor by_phases(const ConvTranspose<spatial>& layer, const Tensor& x) {
  const Tensor whole = Phases(layer.weight, layer.stride)(x, layer.weight);
  std::vector<AxisPadding> cuts(x.rank());
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t end = (x.shape()[i + 1] - 1) * layer.stride[i] + layer.weight.shape()[i + 1];
    const std::int64_t last = end - layer.padding[i] + layer.output_padding[i];
    cuts[i + 1] = {.low = -layer.padding[i], .high = last - whole.shape()[i + 1]};
  }
  return pad(whole, 0, cuts);
}

template <std::size_t spatial>
Tensor with_zeros_between(const ConvTranspose<spatial>& layer, const Tensor& x) {
  std::vector<EdgePadding> edges;
  Axes axes;
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t reach = layer.dilation[i] * (layer.weight.shape()[i + 1] - 1);
    edges.push_back({reach - layer.padding[i], reach - layer.padding[i] + layer.output_padding[i]});
    axes.push_back(static_cast<std::int64_t>(i) + 1);
  }
  return convolved(
      x, reverse(layer.weight, {.axes = axes}),
      {.padding = edges, .input_dilation = layer.stride, .kernel_dilation = layer.dilation});
}

}  // namespace

template <std::size_t spatial>
Tensor ConvTranspose<spatial>::operator()(const Tensor& x) const {
  check(x, spatial, weight.shape().back(), called<spatial>("conv_transpose"));
  const bool has_phases = are_ones(dilation) && !are_ones(stride);
  return plus_bias(has_phases ? by_phases(*this, x) : with_zeros_between(*this, x), bias);
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;
template struct ConvTranspose<1>;
template struct ConvTranspose<2>;
template struct ConvTranspose<3>;

namespace {

const LayerDef kLayers[] = {
    layer_row<Conv1d>("conv1d"),
    layer_row<Conv2d>("conv2d"),
    layer_row<Conv3d>("conv3d"),
    layer_row<ConvTranspose1d>("conv_transpose1d"),
    layer_row<ConvTranspose2d>("conv_transpose2d"),
    layer_row<ConvTranspose3d>("conv_transpose3d"),
};

}  // namespace

std::span<const LayerDef> convolution_layers() { return kLayers; }

}  // namespace mlxnx::nn
