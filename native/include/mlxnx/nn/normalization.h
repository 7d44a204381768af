// Normalisation: a mean of 0 and a variance of 1, over different axes. 16-bit floats are computed
// in f32; the result has the type that the tensor and the weights meet in. The last axis is that of
// the channels; weights begin as 1 and biases as 0.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct LayerNormOptions {
  std::int64_t dims = kRequired;
  double eps = 1e-5;
  bool affine = true;
  bool bias = true;
  MLXNX_MEMBERS(dims, eps, affine, bias)
};

/// Over the last axis. mlx: nn.LayerNorm
///
///     nn::LayerNorm layer({.dims = 64});
///     layer(x);
struct LayerNorm {
  using Options = LayerNormOptions;
  std::optional<Tensor> weight, bias;  ///< `[dims]`
  std::int64_t dims;
  double eps;
  MLXNX_MEMBERS(weight, bias, dims, eps)

  explicit LayerNorm(const LayerNormOptions& options);
  /// Throws: ShapeError when the last axis has not `dims` elements.
  Tensor operator()(const Tensor& x) const;
};

struct RMSNormOptions {
  std::int64_t dims = kRequired;
  double eps = 1e-5;
  MLXNX_MEMBERS(dims, eps)
};

/// Divides by the root of the mean square along the last axis. mlx: nn.RMSNorm
struct RMSNorm {
  using Options = RMSNormOptions;
  Tensor weight;  ///< `[dims]`
  double eps;
  MLXNX_MEMBERS(weight, eps)

  explicit RMSNorm(const RMSNormOptions& options);
  /// Throws: ShapeError when the last axis has not `dims` elements.
  Tensor operator()(const Tensor& x) const;
};

struct GroupNormOptions {
  std::int64_t num_groups = kRequired;
  std::int64_t dims = kRequired;
  double eps = 1e-5;
  bool affine = true;
  bool pytorch_compatible = false;
  MLXNX_MEMBERS(num_groups, dims, eps, affine, pytorch_compatible)
};

/// Over all axes but the first, for each group of channels. A group is every `num_groups`-th
/// channel, or, if `pytorch_compatible`, as many neighbours. mlx: nn.GroupNorm
struct GroupNorm {
  using Options = GroupNormOptions;
  std::optional<Tensor> weight, bias;  ///< `[dims]`
  std::int64_t num_groups, dims;
  double eps;
  bool pytorch_compatible;
  MLXNX_MEMBERS(weight, bias, num_groups, dims, eps, pytorch_compatible)

  /// Throws: ArgumentError when the groups can't be of one size.
  explicit GroupNorm(const GroupNormOptions& options);
  /// Throws: ShapeError when the last axis has not `dims` elements, or there is no other.
  Tensor operator()(const Tensor& x) const;
};

struct InstanceNormOptions {
  std::int64_t dims = kRequired;
  double eps = 1e-5;
  bool affine = false;
  MLXNX_MEMBERS(dims, eps, affine)
};

/// Over all axes but the first and the last. mlx: nn.InstanceNorm
struct InstanceNorm {
  using Options = InstanceNormOptions;
  std::optional<Tensor> weight, bias;  ///< `[dims]`
  std::int64_t dims;
  double eps;
  MLXNX_MEMBERS(weight, bias, dims, eps)

  explicit InstanceNorm(const InstanceNormOptions& options);
  /// Throws: ShapeError when the last axis has not `dims` elements, or there are less than 3 axes.
  Tensor operator()(const Tensor& x) const;
};

struct BatchNormOptions {
  std::int64_t num_features = kRequired;
  double eps = 1e-5;
  double momentum = 0.1;
  bool affine = true;
  bool track_running_stats = true;
  MLXNX_MEMBERS(num_features, eps, momentum, affine, track_running_stats)
};

/// Over all axes but the last: by the batch's own statistics in training, which then move the
/// running ones, and by the running ones elsewhere, if they are tracked. mlx: nn.BatchNorm
///
///     nn::BatchNorm layer({.num_features = 8});
///     auto [y, next] = layer.train(x);  // in training; go on with `next`
///     layer(x);
struct BatchNorm {
  using Options = BatchNormOptions;
  std::optional<Tensor> weight, bias;               ///< `[num_features]`
  std::optional<Tensor> running_mean, running_var;  ///< `[num_features]`; the variance is unbiased
  std::int64_t num_features;
  double eps, momentum;
  MLXNX_MEMBERS(weight, bias, running_mean, running_var, num_features, eps, momentum)

  explicit BatchNorm(const BatchNormOptions& options);
  /// Outside of training. Throws: ShapeError for another number of channels, or of axes than 2
  /// to 5.
  Tensor operator()(const Tensor& x) const;
  /// In training: the result, and the layer with its new running statistics.
  /// Throws: the same, and ShapeError where a channel has no two values.
  std::pair<Tensor, BatchNorm> train(const Tensor& x) const;
};

}  // namespace mlxnx::nn
