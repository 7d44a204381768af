// Enlarging and shrinking along the spatial axes.
#pragma once

#include <cstdint>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// What is between the elements: the nearest one, a line, or a cubic curve.
enum class UpsampleMode : std::uint8_t { kNearest, kLinear, kCubic };

struct UpsampleOptions {
  PerAxisFactor scale_factor = {};  ///< has to be given
  UpsampleMode mode = UpsampleMode::kNearest;
  bool align_corners = false;  ///< whether the outermost elements stay at the edges
  bool antialias = false;      ///< whether lines and curves are widened where they shrink
  MLXNX_MEMBERS(scale_factor, mode, align_corners, antialias)
};

/// All axes but the first and the last `scale_factor` times as long, cut to whole elements. Types
/// stay; integers become f32 unless the mode is `kNearest`. mlx: nn.Upsample
///
///     nn::Upsample layer({.scale_factor = 2, .mode = nn::UpsampleMode::kLinear});
///     layer(x);  // f32[1][8][8][3] becomes f32[1][16][16][3]
struct Upsample {
  using Options = UpsampleOptions;
  std::vector<double> scale_factor;
  UpsampleMode mode;
  bool align_corners, antialias;
  MLXNX_MEMBERS(scale_factor, mode, align_corners, antialias)

  /// Throws: ArgumentError for a factor that is not positive, and for `antialias` with `kNearest`
  /// or with `align_corners`.
  explicit Upsample(const UpsampleOptions& options);
  /// Throws: ShapeError for less than 3 axes, another number of them than there are factors, and
  /// axes that would have 2^31 elements or more.
  Tensor operator()(const Tensor& x) const;
};

}  // namespace mlxnx::nn
