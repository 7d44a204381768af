// The layers between attentions.
#pragma once

#include <cstdint>

#include "llm/maker.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/activations.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/shape.h"

namespace mlxnx::llm {

using Activation = Tensor (*)(const Tensor&);

/// `activation(gate) · up`, which is one kernel on a GPU.
Tensor gated(Activation activation, const Tensor& gate, const Tensor& up);

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
    return down_proj(gated(activation, gate_proj(x), up_proj(x)));
  }
};

/// The same with both products by one matrix, the gate first.
struct FusedGatedMlp {
  nn::Linear gate_up_proj, down_proj;
  MLXNX_MEMBERS(gate_up_proj, down_proj)

  FusedGatedMlp(std::int64_t dims, std::int64_t hidden, Maker& maker)
      : gate_up_proj(maker.linear(dims, 2 * hidden, false)),
        down_proj(maker.linear(hidden, dims, false)) {}
  Tensor operator()(const Tensor& x) const;
};

/// down(activation(up x)).
struct PlainMlp {
  nn::Linear up_proj, down_proj;
  MLXNX_MEMBERS(up_proj, down_proj)
  Activation activation;

  PlainMlp(std::int64_t dims, std::int64_t hidden, bool bias, Maker& maker, Activation activation)
      : up_proj(maker.linear(dims, hidden, bias)),
        down_proj(maker.linear(hidden, dims, bias)),
        activation(activation) {}

  Tensor operator()(const Tensor& x) const { return down_proj(activation(up_proj(x))); }
};

/// Of the settings' `hidden_size` and `intermediate_size`.
GatedMlp gated_mlp(const Config& config, Maker& maker, bool bias = false,
                   Activation activation = &nn::silu);
FusedGatedMlp fused_gated_mlp(const Config& config, Maker& maker);
PlainMlp plain_mlp(const Config& config, Maker& maker, bool bias, Activation activation);

}  // namespace mlxnx::llm
