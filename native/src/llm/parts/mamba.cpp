#include "llm/parts/mamba.h"

#include <algorithm>
#include <string>
#include <vector>

#include "llm/parts/decoder.h"
#include "llm/parts/linear_scan.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm {
namespace {

// So many tokens have their factors in memory at a time.
constexpr std::int64_t kMambaChunk = 64;

Tensor normed(const Tensor& x, const std::optional<nn::RMSNorm>& norm,
              const std::optional<double>& plain_eps) {
  if (norm) return (*norm)(x);
  return plain_eps ? fast::rms_norm(x, std::nullopt, {.eps = *plain_eps}) : x;
}

std::optional<nn::RMSNorm> norm_if(const std::optional<double>& eps, std::int64_t dims,
                                   Maker& maker) {
  if (!eps) return std::nullopt;
  return maker.rms_norm(dims, *eps);
}

}  // namespace

ScanResult selective_scan(const Tensor& x, const Tensor& times, const Tensor& rates,
                          const Tensor& b, const Tensor& c, const std::optional<Tensor>& state) {
  const std::int64_t length = x.shape()[1];
  Tensor now = state ? *state : constant(0, DType::f32, {x.shape()[0], x.shape()[2], b.shape()[2]});
  std::vector<Tensor> parts;
  for (std::int64_t from = 0; from < length; from += kMambaChunk) {
    const std::int64_t count = std::min(kMambaChunk, length - from);
    const auto part = [&](const Tensor& of) {
      return slice_along_axis(of, from, count, {.axis = 1});
    };
    const Tensor decay = exp(new_axis(part(times), -1) * rates);
    const Tensor added = new_axis(part(times * x), -1) * new_axis(part(b), 2);
    const Scanned scanned = linear_scan(decay, added, now);
    now = scanned.last;
    parts.push_back(sum(scanned.states * new_axis(part(c), 2), {.axes = Axes{-1}}));
  }
  return {parts.size() == 1 ? parts.front() : concatenate(parts, {.axis = 1}), now};
}

std::int64_t time_rank(const Config& config, std::string_view key) {
  const auto automatic = [&] {
    try {
      return config.get<std::string>(key) == "auto";
    } catch (const FormatError&) {
      return false;  // a number
    }
  };
  return automatic() ? (hidden_size(config) + 15) / 16 : size_in(config, key);
}

MambaMixer::MambaMixer(const MambaOptions& given, Maker& maker)
    : in_proj(maker.linear(given.dims, 2 * given.inner, given.bias)),
      conv1d(given.inner, given.kernel, given.conv_bias, maker),
      x_proj(maker.linear(given.inner, given.rank + 2 * given.state_size, false)),
      dt_proj(maker.linear(given.rank, given.inner, true)),
      A_log(maker.tensor({given.inner, given.state_size})),
      D(maker.tensor({given.inner})),
      out_proj(maker.linear(given.inner, given.dims, given.bias)),
      dt_layernorm(norm_if(given.norm_eps, given.rank, maker)),
      b_layernorm(norm_if(given.norm_eps, given.state_size, maker)),
      c_layernorm(norm_if(given.norm_eps, given.state_size, maker)),
      options(given) {}

Tensor MambaMixer::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  auto& states = step.states(layer);
  const std::optional<Tensor> mask = step.token_mask();
  const auto [before, gate] = split(in_proj(x), options.inner, {.axis = -1});
  const Tensor h = nn::silu(conv1d(before, states.at(0), mask));
  const auto [dt, b_and_c] = split(x_proj(h), options.rank, {.axis = -1});
  const auto [b, c] = split(b_and_c, options.state_size, {.axis = -1});
  const auto& eps = options.plain_norm_eps;
  const auto wide = [](const Tensor& of) { return as_type(of, DType::f32); };
  Tensor times = wide(nn::softplus(dt_proj(normed(dt, dt_layernorm, eps))));
  if (mask) times = select(broadcast(new_axis(*mask, -1), times.shape()), times, 0);
  const auto [values, state] =
      selective_scan(wide(h), times, -wide(exp(A_log)), wide(normed(b, b_layernorm, eps)),
                     wide(normed(c, c_layernorm, eps)), states.at(1));
  states.at(1) = state;
  const Tensor y = as_type(values, h.dtype()) + as_type(D, h.dtype()) * h;
  return out_proj(nn::silu(gate) * y);
}

}  // namespace mlxnx::llm
