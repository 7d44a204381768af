// Pooling: one number for each window of a sequence, image or volume with the channels last.
#pragma once

#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct PoolOptions {
  PerAxis kernel_size = {};            ///< has to be given
  std::optional<PerAxis> stride = {};  ///< none: as the kernel
  PerAxis padding = 0;                 ///< on both sides
  MLXNX_MEMBERS(kernel_size, stride, padding)
};

/// The mean of each window; the padding is 0 and counts. Integers become f32.
/// mlx: nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d
///
///     nn::AvgPool2d layer({.kernel_size = 2});
///     layer(x);  // f32[64][28][28][8] becomes f32[64][14][14][8]
template <std::size_t spatial>
struct AvgPool {
  using Options = PoolOptions;
  Axes kernel_size, stride, padding;
  MLXNX_MEMBERS(kernel_size, stride, padding)

  /// Throws: ArgumentError for sizes that a window can't have.
  explicit AvgPool(const PoolOptions& options);
  /// Throws: ShapeError for other axes than a batch, the spatial ones, and channels, and where a
  /// window is larger than the tensor.
  Tensor operator()(const Tensor& x) const;
};

/// The largest element of each window; the padding is less than any. Equal ones share the gradient.
/// mlx: nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d
template <std::size_t spatial>
struct MaxPool {
  using Options = PoolOptions;
  Axes kernel_size, stride, padding;
  MLXNX_MEMBERS(kernel_size, stride, padding)

  /// Throws: ArgumentError for sizes that a window can't have.
  explicit MaxPool(const PoolOptions& options);
  /// Throws: as `AvgPool`.
  Tensor operator()(const Tensor& x) const;
};

using AvgPool1d = AvgPool<1>;
using AvgPool2d = AvgPool<2>;
using AvgPool3d = AvgPool<3>;
using MaxPool1d = MaxPool<1>;
using MaxPool2d = MaxPool<2>;
using MaxPool3d = MaxPool<3>;

}  // namespace mlxnx::nn
