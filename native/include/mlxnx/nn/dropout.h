// Dropout: zeros at random places while a model is trained.
#pragma once

#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct DropoutOptions {
  double p = 0.5;  ///< how likely an element is 0: from 0 up to, but without, 1
  MLXNX_MEMBERS(p)
};

/// With a key (u32[2]) each element becomes 0 with the probability `p`, and the others 1 / (1 - p)
/// times as large; without one, outside of training, the tensor stays as it is. mlx: nn.Dropout
///
///     nn::Dropout layer({.p = 0.1});
///     layer(x, key);  // in training, with another key each time
///     layer(x);
struct Dropout {
  using Options = DropoutOptions;
  double p;
  MLXNX_MEMBERS(p)

  /// Throws: ArgumentError for a probability that is none, or 1.
  explicit Dropout(const DropoutOptions& options = {});
  Tensor operator()(const Tensor& x, const std::optional<Tensor>& key = {}) const;
};

/// `Dropout` of whole channels of images `[N, H, W, C]` or `[H, W, C]`. mlx: nn.Dropout2d
struct Dropout2d {
  using Options = DropoutOptions;
  double p;
  MLXNX_MEMBERS(p)

  explicit Dropout2d(const DropoutOptions& options = {});
  /// Throws: ShapeError for other axes.
  Tensor operator()(const Tensor& x, const std::optional<Tensor>& key = {}) const;
};

/// `Dropout` of whole channels of volumes `[N, D, H, W, C]` or `[D, H, W, C]`. mlx: nn.Dropout3d
struct Dropout3d {
  using Options = DropoutOptions;
  double p;
  MLXNX_MEMBERS(p)

  explicit Dropout3d(const DropoutOptions& options = {});
  /// Throws: ShapeError for other axes.
  Tensor operator()(const Tensor& x, const std::optional<Tensor>& key = {}) const;
};

}  // namespace mlxnx::nn
