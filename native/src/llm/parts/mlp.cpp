#include "llm/parts/mlp.h"

#include <map>
#include <mutex>

#include "llm/parts/decoder.h"
#include "mlxnx/mlxnx.h"
#include "ops/element_function.h"

namespace mlxnx::llm {

namespace {
const ops::ElementFunction& product_after(Activation activation) {
  // Never destroyed: other threads may be writing texts while the process exits.
  static auto& functions = *new std::map<Activation, ops::ElementFunction>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const auto product = [activation](const Tensor& x, const Tensor& y) { return activation(x) * y; };
  return functions.try_emplace(activation, product).first->second;
}
}  // namespace

Tensor gated(Activation activation, const Tensor& gate, const Tensor& up) {
  return product_after(activation)(gate, up);
}

Tensor FusedGatedMlp::operator()(const Tensor& x) const {
  const Tensor both = gate_up_proj(x);
  const auto [gate, up] = split(both, both.shape().back() / 2, {.axis = -1});
  return down_proj(gated(&nn::silu, gate, up));
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
