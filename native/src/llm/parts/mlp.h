// The layers between attentions.
#pragma once

#include <cstdint>

#include "llm/maker.h"
#include "mlxnx/nn/activations.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm {

using Activation = Tensor (*)(const Tensor&);

/// One product gates another: down(activation(gate x) · up x).
struct GatedMlp {
  nn::Linear gate_proj, down_proj, up_proj;
  MLXNX_MEMBERS(gate_proj, down_proj, up_proj)
  Activation activation;

  GatedMlp(std::int64_t dims, std::int64_t hidden, bool bias, Maker& maker,
           Activation activation = &nn::silu)
      : gate_proj(maker.linear(dims, hidden, bias)),
        down_proj(maker.linear(hidden, dims, bias)),
        up_proj(maker.linear(dims, hidden, bias)),
        activation(activation) {}

  Tensor operator()(const Tensor& x) const {
    return down_proj(activation(gate_proj(x)) * up_proj(x));
  }
};

}  // namespace mlxnx::llm
