#include "llm/parts/gated_delta.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "llm/parts/decoder.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm {

Tensor delta_gates(const Tensor& a, const Tensor& a_log, const Tensor& dt_bias) {
  return exp(-exp(as_type(a_log, DType::f32)) * nn::softplus(a + dt_bias));
}

// The norm adds its eps to the mean of the squares.
Tensor unit_queries(const Tensor& x, double eps) {
  const double size = static_cast<double>(x.shape().back());
  return fast::rms_norm(x, std::nullopt, {.eps = eps / size}) * (1 / size);
}

Tensor unit_keys(const Tensor& x, double eps) {
  const double size = static_cast<double>(x.shape().back());
  return fast::rms_norm(x, std::nullopt, {.eps = eps / size}) * (1 / std::sqrt(size));
}

Tensor GatedHeadNorm::operator()(const Tensor& x, const Tensor& gate) const {
  const Tensor h = as_type(fast::rms_norm(x, weight, {.eps = eps}), DType::f32);
  return as_type(nn::silu(as_type(gate, DType::f32)) * h, x.dtype());
}

GatedDelta::GatedDelta(const Config& config, Maker& maker)
    : conv1d(
          2 * size_in(config, "linear_num_key_heads") * size_in(config, "linear_key_head_dim") +
              size_in(config, "linear_num_value_heads") * size_in(config, "linear_value_head_dim"),
          size_in(config, "linear_conv_kernel_dim"), false, maker),
      dt_bias(maker.tensor({size_in(config, "linear_num_value_heads")})),
      A_log(maker.tensor({size_in(config, "linear_num_value_heads")})),
      norm{.weight =
               maker.rms_norm(size_in(config, "linear_value_head_dim"), norm_eps(config)).weight,
           .eps = norm_eps(config)},
      out_proj(maker.linear(
          size_in(config, "linear_num_value_heads") * size_in(config, "linear_value_head_dim"),
          hidden_size(config), false)),
      key_heads(size_in(config, "linear_num_key_heads")),
      heads(size_in(config, "linear_num_value_heads")),
      key_dim(size_in(config, "linear_key_head_dim")),
      value_dim(size_in(config, "linear_value_head_dim")) {
  if (heads % key_heads != 0) {
    throw FormatError(fmt::format(
        "[load] linear_num_value_heads is {}, no multiple of linear_num_key_heads, which is {}",
        heads, key_heads));
  }
}

Tensor GatedDelta::finish(const Tensor& qkv, const Tensor& gate, const Tensor& a, const Tensor& b,
                          Step& step, std::size_t layer) const {
  auto& states = step.states(layer);
  const std::optional<Tensor> mask = step.token_mask();
  const Tensor mixed = nn::silu(conv1d(qkv, states.at(0), mask));
  const auto [q, rest] = split(mixed, keys_size(), {.axis = -1});
  const auto [k, v] = split(rest, keys_size(), {.axis = -1});
  const auto in_heads = [&](const Tensor& x, std::int64_t count) {
    return reshape(x, {step.batch(), step.length(), count, -1});
  };
  auto [values, state] = fast::gated_delta_update(
      unit_queries(in_heads(q, key_heads)), unit_keys(in_heads(k, key_heads)), in_heads(v, heads),
      delta_gates(a, A_log, dt_bias), nn::sigmoid(b),
      {.initial_state = states.at(1), .mask = mask});
  states.at(1) = state;
  return out_proj(reshape(norm(values, gate), {step.batch(), step.length(), values_size()}));
}

}  // namespace mlxnx::llm
