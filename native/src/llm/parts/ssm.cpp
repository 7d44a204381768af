#include "llm/parts/ssm.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/token_chunks.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::llm {
namespace {

constexpr std::int64_t kSsmChunk = 64;

// Each group's for its heads, along `axis`.
Tensor for_heads(const Tensor& x, std::int64_t heads, std::int64_t axis) {
  Shape shape = x.shape();
  const std::int64_t groups = shape[static_cast<std::size_t>(axis)];
  if (groups == heads) return x;
  shape.insert(shape.begin() + axis + 1, heads / groups);
  return flatten(broadcast(new_axis(x, axis + 1), shape), {.axes = Axes{axis, axis + 1}});
}

StateSpaceResult one_token(const Tensor& inputs, const Tensor& decay, const Tensor& b,
                           const Tensor& c, const Tensor& state) {
  const std::int64_t heads = inputs.shape()[2];
  const auto now = [](const Tensor& x) { return squeeze(x, {.axes = Axes{1}}); };
  const Tensor added = new_axis(now(inputs), 3) * new_axis(for_heads(now(b), heads, 1), 2);
  const Tensor next = new_axis(new_axis(now(decay), 2), 3) * state + added;
  const Tensor values = sum(next * new_axis(for_heads(now(c), heads, 1), 2), {.axes = Axes{-1}});
  return {new_axis(values, 1), next};
}

// What tokens of a chunk say to later ones of it is a product of matrices, for all chunks at once;
// only the states go from chunk to chunk.
StateSpaceResult many_tokens(const Tensor& inputs, const Tensor& decay, const Tensor& b,
                             const Tensor& c, const Tensor& start) {
  const std::int64_t length = inputs.shape()[1], heads = inputs.shape()[2];
  const std::int64_t chunk = std::min(length, kSsmChunk);
  const Tensor x = chunks::split(inputs, chunk, 0), factors = chunks::split(decay, chunk, 1),
               from = chunks::split(b, chunk, 0), to = chunks::split(c, chunk, 0);
  const Tensor between = chunks::decay_between(factors);
  const Tensor weights = for_heads(chunks::product_transposed(to, from), heads, 1) * between;
  const auto last = [&](const Tensor& of, std::int64_t axis) {
    return squeeze(slice_along_axis(of, chunk - 1, 1, {.axis = axis}), {.axes = Axes{axis}});
  };
  const Tensor at_end = x * new_axis(last(between, 3), -1);
  const Tensor added =
      chunks::product(transpose(at_end, {.axes = Axes{0, 1, 2, 4, 3}}), for_heads(from, heads, 1));
  const Tensor since_start = cumulative_product(factors, {.axis = 3});
  const Tensor to_end = new_axis(new_axis(last(since_start, 3), -1), -1);
  std::vector<Tensor> states;
  Tensor state = start;
  for (std::int64_t i = 0; i < x.shape()[2]; ++i) {
    const auto at = [&](const Tensor& of) {
      return squeeze(slice_along_axis(of, i, 1, {.axis = 2}), {.axes = Axes{2}});
    };
    states.push_back(state);
    state = at(to_end) * state + at(added);
  }
  const Tensor before =
      chunks::product_transposed(for_heads(to, heads, 1), stack(states, {.axis = 2}));
  const Tensor values = chunks::product(weights, x) + new_axis(since_start, -1) * before;
  return {chunks::join(values, length), state};
}

}  // namespace

StateSpaceResult state_space(const Tensor& x, const Tensor& times, const Tensor& rates,
                             const Tensor& b, const Tensor& c, const std::optional<Tensor>& state) {
  const Shape& shape = x.shape();
  const Tensor inputs = new_axis(times, -1) * x, decay = exp(times * rates);
  const Tensor from = as_type(b, DType::f32), to = as_type(c, DType::f32);
  const Tensor start =
      state ? *state : constant(0, DType::f32, {shape[0], shape[2], shape[3], b.shape()[3]});
  return shape[1] == 1 ? one_token(inputs, decay, from, to, start)
                       : many_tokens(inputs, decay, from, to, start);
}

Tensor skipped_state_space(const StateSpaceInputs& inputs, const StateSpaceWeights& weights,
                           const TimeLimits& limits, const std::optional<Tensor>& mask,
                           std::optional<Tensor>& state) {
  Tensor times =
      clip(nn::softplus(as_type(inputs.times, DType::f32) + weights.dt_bias),
           constant(limits.least_time, DType::f32), constant(limits.most_time, DType::f32));
  if (mask) times = select(broadcast(new_axis(*mask, -1), times.shape()), times, 0);
  const auto [values, next] = state_space(
      inputs.values, times, -as_type(exp(weights.a_log), DType::f32), inputs.b, inputs.c, state);
  state = next;
  // The skip keeps the model's type, whatever that of its factors in the file.
  const DType type = inputs.values.dtype();
  return as_type(values, type) + inputs.values * new_axis(as_type(weights.d, type), -1);
}

Tensor GroupedNorm::operator()(const Tensor& x) const {
  if (groups == 1) return fast::rms_norm(x, weight, {.eps = eps});
  Shape parts = x.shape();
  parts.back() /= groups;
  parts.insert(parts.end() - 1, groups);
  return weight * reshape(fast::rms_norm(reshape(x, parts), std::nullopt, {.eps = eps}), x.shape());
}

Tensor GatedNorm::operator()(const Tensor& x, const Tensor& gate) const {
  const Tensor open = nn::silu(gate);
  return gates_after ? open * GroupedNorm::operator()(x) : GroupedNorm::operator()(open* x);
}

Mamba2Mixer::Mamba2Mixer(const Mamba2Options& given, Maker& maker)
    : conv1d(given.heads * given.head_dim + 2 * given.groups * given.state_size, given.kernel,
             given.conv_bias, maker),
      in_proj(maker.linear(
          given.dims,
          2 * (given.heads * given.head_dim + given.groups * given.state_size) + given.heads,
          given.bias)),
      out_proj(maker.linear(given.heads * given.head_dim, given.dims,
                            given.output_bias.value_or(given.bias))),
      dt_bias(maker.tensor({given.heads})),
      A_log(maker.tensor({given.heads})),
      D(maker.tensor({given.heads})),
      options(given) {
  const std::int64_t inner = given.heads * given.head_dim;
  if (given.heads % given.groups != 0 || inner % given.norm_groups != 0) {
    throw FormatError(
        fmt::format("[load] the settings say {} heads of {} for {} groups of a state space",
                    given.heads, given.head_dim, given.groups));
  }
  if (given.has_norm) {
    norm = GatedNorm{{.weight = maker.rms_norm(inner, given.norm_eps).weight,
                      .eps = given.norm_eps,
                      .groups = given.norm_groups},
                     given.gates_after_norm};
  }
}

Tensor Mamba2Mixer::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  const std::int64_t inner = options.heads * options.head_dim,
                     part = options.groups * options.state_size;
  auto& states = step.states(layer);
  const std::optional<Tensor> mask = step.token_mask();
  auto [gate, rest] = split(in_proj(x), inner, {.axis = -1});
  auto [mixed, dt] = split(rest, inner + 2 * part, {.axis = -1});
  mixed = nn::silu(conv1d(mixed, states.at(0), mask));
  auto [h, b_and_c] = split(mixed, inner, {.axis = -1});
  auto [b, c] = split(b_and_c, part, {.axis = -1});
  const auto in_parts = [&](const Tensor& of, std::int64_t count) {
    return reshape(of, {step.batch(), step.length(), count, -1});
  };
  const Tensor y = skipped_state_space({.values = in_parts(h, options.heads),
                                        .times = dt,
                                        .b = in_parts(b, options.groups),
                                        .c = in_parts(c, options.groups)},
                                       {.dt_bias = dt_bias, .a_log = A_log, .d = D}, options.limits,
                                       mask, states.at(1));
  const Tensor flat = reshape(y, {step.batch(), step.length(), inner});
  return out_proj(norm ? (*norm)(flat, gate) : nn::silu(gate) * flat);
}

void take_time_limits(Mamba2Options& options, const Config& config) {
  const auto limits = config.get<std::vector<double>>("time_step_limit");
  if (limits.size() != 2) {
    throw FormatError(
        fmt::format("[load] time_step_limit has {} numbers, and a least and a largest "
                    "one are wanted",
                    limits.size()));
  }
  options.limits = {.least_time = limits[0], .most_time = limits[1]};
}

}  // namespace mlxnx::llm
