// The norms of decoders, of one type, so that layers are not made anew for each kind.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/normalization.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// Over the last axis, by the root of the mean square or by mean and variance.
struct Norm {
  std::optional<Tensor> weight, bias;
  MLXNX_MEMBERS(weight, bias)

  bool centered = false;  ///< a layer norm
  bool plus_one = false;  ///< rows are multiplied by the weight plus 1
  double eps = 1e-5;

  /// By the root of the mean square, without a weight.
  explicit Norm(double eps) : eps(eps) {}
  Norm(const nn::RMSNorm& norm) : weight(norm.weight), eps(norm.eps) {}
  Norm(const nn::LayerNorm& norm)
      : weight(norm.weight), bias(norm.bias), centered(true), eps(norm.eps) {}

  /// A weight `[heads, size]` is one for each head of `[batch, heads, length, size]`.
  Tensor operator()(const Tensor& x) const;
};

/// The same norm, whose weight is what the factors are more than 1.
Norm plus_one(Norm norm);

}  // namespace mlxnx::llm
