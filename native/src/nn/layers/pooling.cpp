#include "mlxnx/nn/pooling.h"

#include <fmt/format.h>

#include <limits>

#include "mlxnx/mlxnx.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

struct Windows {
  Axes kernel, stride, padding;

  std::size_t spatial() const { return kernel.size(); }
  std::int64_t size() const { return element_count(kernel); }
  std::int64_t count(const Shape& shape, std::size_t i) const {
    return (shape[i + 1] - kernel[i]) / stride[i] + 1;
  }
};

Windows windows_of(const PoolOptions& options, std::size_t spatial, std::string_view layer) {
  Windows windows;
  windows.kernel = on_each(spatial, options.kernel_size, 1, "kernel_size", layer);
  windows.stride =
      options.stride ? on_each(spatial, *options.stride, 1, "stride", layer) : windows.kernel;
  windows.padding = on_each(spatial, options.padding, 0, "padding", layer);
  return windows;
}

Tensor padded(const Tensor& x, const Windows& windows, double value, std::string_view layer) {
  const std::size_t spatial = windows.spatial();
  require_spatial(x, spatial, layer);
  std::vector<AxisPadding> edges(x.rank());
  bool is_padded = false;
  for (std::size_t i = 0; i < spatial; ++i) {
    edges[i + 1] = {.low = windows.padding[i], .high = windows.padding[i]};
    is_padded |= windows.padding[i] > 0;
    if (x.shape()[i + 1] + 2 * windows.padding[i] < windows.kernel[i]) {
      throw ShapeError(fmt::format("[{}] a window of {} is larger than {} with a padding of {}",
                                   layer, to_string(windows.kernel), to_string(x.type()),
                                   to_string(windows.padding)));
    }
  }
  return is_padded ? pad(x, Tensor(Number(value), x.dtype()), edges) : x;
}

// Where windows lie beside each other: the tensor with an axis for each window, and one within it,
// in place of each spatial one. Nothing is copied but what no window reaches.
Tensor beside_each_other(const Tensor& x, const Windows& windows) {
  Shape covered = x.shape(), split{covered.front()};
  for (std::size_t i = 0; i < windows.spatial(); ++i) {
    const std::int64_t count = windows.count(x.shape(), i);
    covered[i + 1] = count * windows.kernel[i];
    split.push_back(count);
    split.push_back(windows.kernel[i]);
  }
  split.push_back(covered.back());
  const Tensor inner =
      covered == x.shape() ? x : slice(x, std::vector<SliceStart>(x.rank(), 0), covered);
  return reshape(inner, split);
}

// The axes within the windows above.
Axes inner_axes(const Windows& windows) {
  Axes axes;
  for (std::size_t i = 0; i < windows.spatial(); ++i)
    axes.push_back(2 * static_cast<std::int64_t>(i) + 2);
  return axes;
}

// For each place within a window the elements there of all windows, along a new first axis.
Tensor by_place(const Tensor& x, const Windows& windows) {
  std::vector<Tensor> places;
  Axes place(windows.spatial());
  for (std::int64_t number = 0; number < windows.size(); ++number) {
    std::int64_t rest = number;
    std::vector<SliceStart> starts(x.rank(), 0);
    Shape lengths = x.shape();
    Axes strides(x.rank(), 1);
    for (std::size_t i = windows.spatial(); i-- > 0;) {
      starts[i + 1] = rest % windows.kernel[i];
      rest /= windows.kernel[i];
      lengths[i + 1] = (windows.count(x.shape(), i) - 1) * windows.stride[i] + 1;
      strides[i + 1] = windows.stride[i];
    }
    places.push_back(slice(x, starts, lengths, {.strides = strides}));
  }
  return stack(places);
}

Tensor sums(const Tensor& x, const Windows& windows) {
  if (windows.kernel == windows.stride)
    return sum(beside_each_other(x, windows), {.axes = inner_axes(windows)});
  Shape window{1}, strides{1};
  for (std::size_t i = 0; i < windows.spatial(); ++i) {
    window.push_back(windows.kernel[i]);
    strides.push_back(windows.stride[i]);
  }
  window.push_back(1);
  strides.push_back(1);
  return window_sum(x, window, {.strides = strides});
}

// Not `window_max`, whose gradient is that of one of equal elements, and slower.
Tensor extremes(const Tensor& x, const Windows& windows) {
  if (windows.kernel == windows.stride)
    return reduce_max(beside_each_other(x, windows), {.axes = inner_axes(windows)});
  return reduce_max(by_place(x, windows), {.axes = Axes{0}});
}

template <std::size_t spatial>
std::string pool_called(std::string_view base) {
  return fmt::format("{}_pool{}d", base, spatial);
}

}  // namespace

template <std::size_t spatial>
AvgPool<spatial>::AvgPool(const PoolOptions& options) {
  Windows windows = windows_of(options, spatial, pool_called<spatial>("avg"));
  kernel_size = windows.kernel;
  stride = windows.stride;
  padding = windows.padding;
}

template <std::size_t spatial>
Tensor AvgPool<spatial>::operator()(const Tensor& x) const {
  const Windows windows{kernel_size, stride, padding};
  // Sums of f16 may be infinite where their mean is not.
  const Tensor total = sums(padded(wide(x), windows, 0, pool_called<spatial>("avg")), windows);
  return as_type(total * (1 / static_cast<double>(windows.size())), ops::to_floating(x.dtype()));
}

template <std::size_t spatial>
MaxPool<spatial>::MaxPool(const PoolOptions& options) {
  Windows windows = windows_of(options, spatial, pool_called<spatial>("max"));
  kernel_size = windows.kernel;
  stride = windows.stride;
  padding = windows.padding;
}

template <std::size_t spatial>
Tensor MaxPool<spatial>::operator()(const Tensor& x) const {
  const Windows windows{kernel_size, stride, padding};
  const double least = -std::numeric_limits<double>::infinity();
  return extremes(padded(x, windows, least, pool_called<spatial>("max")), windows);
}

template struct AvgPool<1>;
template struct AvgPool<2>;
template struct AvgPool<3>;
template struct MaxPool<1>;
template struct MaxPool<2>;
template struct MaxPool<3>;

namespace {

const LayerDef kPoolingLayers[] = {
    layer_row<AvgPool1d>("avg_pool1d"), layer_row<AvgPool2d>("avg_pool2d"),
    layer_row<AvgPool3d>("avg_pool3d"), layer_row<MaxPool1d>("max_pool1d"),
    layer_row<MaxPool2d>("max_pool2d"), layer_row<MaxPool3d>("max_pool3d"),
};

}  // namespace

std::span<const LayerDef> pooling_layers() { return kPoolingLayers; }

}  // namespace mlxnx::nn
