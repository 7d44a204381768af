// Convolutions with the channels last, as MLX has them: sequences `[N, L, C]`, images
// `[N, H, W, C]`, volumes `[N, D, H, W, C]`.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct ConvLayerOptions {
  std::int64_t in_channels = kRequired;
  std::int64_t out_channels = kRequired;
  PerAxis kernel_size = {};  ///< has to be given
  PerAxis stride = 1;
  PerAxis padding = 0;   ///< zeros on both sides
  PerAxis dilation = 1;  ///< distance of neighbours in the kernel
  std::int64_t groups = 1;
  bool bias = true;
  MLXNX_MEMBERS(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
};

/// A convolution over `spatial` axes. First weights are uniform within the root of
/// 1 / (in_channels * size of the kernel), the bias is 0. mlx: nn.Conv1d, nn.Conv2d, nn.Conv3d
///
///     nn::Conv2d layer({.in_channels = 1, .out_channels = 8, .kernel_size = 3}, key);
///     layer(x);  // f32[64][28][28][1] becomes f32[64][26][26][8]
template <std::size_t spatial>
struct Conv {
  using Options = ConvLayerOptions;
  Tensor weight;               ///< `[out_channels, kernel…, in_channels / groups]`
  std::optional<Tensor> bias;  ///< `[out_channels]`
  Axes stride, padding, dilation;
  std::int64_t groups;
  MLXNX_MEMBERS(weight, bias, stride, padding, dilation, groups)

  /// Throws: ArgumentError for sizes that a convolution can't have.
  Conv(const ConvLayerOptions& options, const Tensor& key);
  /// Throws: ShapeError for other axes than a batch, the spatial ones, and `in_channels`.
  Tensor operator()(const Tensor& x) const;
};

using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

struct ConvTransposeOptions {
  std::int64_t in_channels = kRequired;
  std::int64_t out_channels = kRequired;
  PerAxis kernel_size = {};  ///< has to be given
  PerAxis stride = 1;
  PerAxis padding = 0;
  PerAxis dilation = 1;
  PerAxis output_padding = 0;  ///< what the result is longer by, at the end
  bool bias = true;
  MLXNX_MEMBERS(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
                bias)
};

/// The transpose of a convolution, which enlarges by its strides: a length becomes
/// (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding. First
/// weights as those of `Conv`. mlx: nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
///
///     nn::ConvTranspose2d layer(
///         {.in_channels = 8, .out_channels = 1, .kernel_size = 2, .stride = 2}, key);
///     layer(x);  // f32[64][14][14][8] becomes f32[64][28][28][1]
template <std::size_t spatial>
struct ConvTranspose {
  using Options = ConvTransposeOptions;
  Tensor weight;               ///< `[out_channels, kernel…, in_channels]`
  std::optional<Tensor> bias;  ///< `[out_channels]`
  Axes stride, padding, dilation, output_padding;
  MLXNX_MEMBERS(weight, bias, stride, padding, dilation, output_padding)

  /// Throws: ArgumentError for sizes that a convolution can't have.
  ConvTranspose(const ConvTransposeOptions& options, const Tensor& key);
  /// Throws: ShapeError for other axes than a batch, the spatial ones, and `in_channels`.
  Tensor operator()(const Tensor& x) const;
};

using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

}  // namespace mlxnx::nn
