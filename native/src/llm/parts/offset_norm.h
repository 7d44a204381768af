// A norm whose weights are what its factors are more than a number.
#pragma once

#include "llm/maker.h"
#include "llm/parts/decoder.h"
#include "mlxnx/fast.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm {

struct OffsetNorm {
  Tensor weight;
  MLXNX_MEMBERS(weight)
  double offset, eps;

  /// Over `hidden_size` numbers.
  OffsetNorm(const Config& config, double offset, double eps, Maker& maker)
      : weight(maker.tensor({hidden_size(config)})), offset(offset), eps(eps) {}
  Tensor operator()(const Tensor& x) const {
    return fast::rms_norm(x, weight + offset, {.eps = eps});
  }
};

}  // namespace mlxnx::llm
