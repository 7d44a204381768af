#include "llm/parts/mlp.h"

#include "llm/parts/decoder.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

Tensor FusedGatedMlp::operator()(const Tensor& x) const {
  const Tensor both = gate_up_proj(x);
  const auto [gate, up] = split(both, both.shape().back() / 2, {.axis = -1});
  return down_proj(nn::silu(gate) * up);
}

GatedMlp gated_mlp(const Config& config, Maker& maker, bool bias, Activation activation) {
  return {hidden_size(config), size_in(config, "intermediate_size"), bias, maker, activation};
}

FusedGatedMlp fused_gated_mlp(const Config& config, Maker& maker) {
  return {hidden_size(config), size_in(config, "intermediate_size"), maker};
}

PlainMlp plain_mlp(const Config& config, Maker& maker, bool bias, Activation activation) {
  return {hidden_size(config), size_in(config, "intermediate_size"), bias, maker, activation};
}

}  // namespace mlxnx::llm
