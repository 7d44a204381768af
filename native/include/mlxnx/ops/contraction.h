// Products that sum over axes: dot, outer product and convolution. Axes may be negative: they then
// count from the last. Integers are exact and wrap; f16 and bf16 accumulate in f32.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/padding.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// Dot product: over the last axis of `left` and the last but one of `right`, or its only one. With
/// a scalar, the product of each element.
/// Shapes: `[…, K]` and `[…, K, N]`, or `[K]`; result: the other axes of `left`, then of `right`.
/// Types: the merge of both. Throws: ShapeError when the dimensions differ. Nx: Nx.dot/2
///
///     dot(tensor({1, 2}), tensor({{1, 0}, {3, 4}}));  // s32[2] [7, 8]
Tensor dot(const Tensor& left, const Tensor& right);

/// Dot product over given pairs of axes, any number of them.
/// Result: the other axes of `left`, then of `right`. Types: the merge of both.
/// Throws: ShapeError when the dimensions of a pair differ. Nx: Nx.dot/4
///
///     dot(tensor({1, 2}), {}, tensor({3, 4}), {});  // s32[2][2] [[3, 4], [6, 8]]
Tensor dot(const Tensor& left, const Axes& left_contract, const Tensor& right,
           const Axes& right_contract);

/// Dot product over given pairs of axes, for each position of the batch axes, which must be the
/// leading ones on both sides.
/// Result: the batch axes, the other axes of `left`, then of `right`. Types: the merge of both.
/// Throws: ShapeError when axes or dimensions don't fit. Nx: Nx.dot/6
///
///     dot(iota({2, 1, 2}), {2}, {0}, iota({2, 2}), {1}, {0});  // s32[2][1] [[1], [13]]
Tensor dot(const Tensor& left, const Axes& left_contract, const Axes& left_batch,
           const Tensor& right, const Axes& right_contract, const Axes& right_batch);

/// Product of every element of `left` with every one, conjugated, of `right`.
/// Shapes: any; result `[size of left, size of right]`. Types: the merge of both. Nx: Nx.outer
///
///     outer(tensor({1, 2}), tensor({3, 4}));  // s32[2][2] [[3, 4], [6, 8]]
Tensor outer(const Tensor& left, const Tensor& right);

/// Options of `conv`; the defaults are Nx's. Lists have one entry per spatial axis.
struct ConvOptions {
  std::optional<Axes> strides = {};          ///< none: 1
  Padding padding = {};                      ///< zeros around the tensor, after dilation
  std::optional<Axes> input_dilation = {};   ///< distance of neighbours, zeros between; none: 1
  std::optional<Axes> kernel_dilation = {};  ///< none: 1
  std::int64_t feature_group_size = 1;       ///< groups of channels, each with its own kernels
  std::int64_t batch_group_size = 1;         ///< groups of the batch, each with its own kernels
  /// Which axis of the tensor is batch, channels, first spatial axis, …; none: in this order.
  std::optional<Axes> input_permutation = {};
  /// Which axis of the kernel is output channels, input channels, first spatial axis, …
  std::optional<Axes> kernel_permutation = {};
  /// Where the result has batch, channels, first spatial axis, …
  std::optional<Axes> output_permutation = {};
};

/// Convolution (without flipping the kernel) over any number of spatial axes.
/// Shapes: `[N, C, spatial…]` and `[O, C / feature_group_size, spatial…]`; result
/// `[N / batch_group_size, O, spatial…]`. Types: the merge of both, integers as f32.
/// Throws: ShapeError, ArgumentError when sizes and options don't fit. Nx: Nx.conv
///
///     conv(iota({1, 1, 4}), tensor({{{1, 1}}}), {.strides = Axes{2}});  // f32[1][1][2] [[[1, 5]]]
Tensor conv(const Tensor& tensor, const Tensor& kernel, const ConvOptions& options = {});

}  // namespace mlxnx
