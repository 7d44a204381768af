// Activation functions that have a weight or a choice of formula. Layers for all others are these
// functions themselves (activations.h).
#pragma once

#include <cstdint>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct PReLUOptions {
  std::int64_t num_parameters = 1;
  double init = 0.25;
  MLXNX_MEMBERS(num_parameters, init)
};

/// `prelu` with slopes that are learned: one, or one for each channel. mlx: nn.PReLU
///
///     nn::PReLU layer({.num_parameters = 6});
///     layer(x);
struct PReLU {
  using Options = PReLUOptions;
  Tensor weight;  ///< `[num_parameters]`
  MLXNX_MEMBERS(weight)

  explicit PReLU(const PReLUOptions& options = {});
  Tensor operator()(const Tensor& x) const;
};

/// The formulas for `gelu`: as it is, or an approximation by tanh (two names) or sigmoid.
enum class GELUApproximation : std::uint8_t { kNone, kPrecise, kTanh, kFast };

struct GELUOptions {
  GELUApproximation approx = GELUApproximation::kNone;
  MLXNX_MEMBERS(approx)
};

/// `gelu`, `gelu_approx` or `gelu_fast_approx`. mlx: nn.GELU
struct GELU {
  using Options = GELUOptions;
  GELUApproximation approx;
  MLXNX_MEMBERS(approx)

  explicit GELU(const GELUOptions& options = {}) : approx(options.approx) {}
  Tensor operator()(const Tensor& x) const;
};

}  // namespace mlxnx::nn
