// State spaces of Mamba 2: a recurrence with one rate of decay for each head, and the layer of it
// that several families share. mlx-lm: models/ssm.py
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "llm/maker.h"
#include "llm/parts/causal_conv.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

struct StateSpaceResult {
  Tensor values;  ///< `[batch, length, heads, size]`
  Tensor state;   ///< `[batch, heads, size, width]`
};

/// s becomes exp(rates · times) s + times x Bᵀ token by token, and the value is s C.
/// Shapes: `x` `[batch, length, heads, size]`, `times` `[batch, length, heads]` in f32, 0 where the
/// state is to stay, `rates` `[heads]`, `b` and `c` `[batch, length, groups, width]`, whose groups
/// divide the heads. Types: f32. Many tokens are computed in chunks.
StateSpaceResult state_space(const Tensor& x, const Tensor& times, const Tensor& rates,
                             const Tensor& b, const Tensor& c, const std::optional<Tensor>& state);

/// What a token brings: `values` `[batch, length, heads, size]`, `times` `[batch, length, heads]`
/// before softplus, `b` and `c` `[batch, length, groups, width]`.
struct StateSpaceInputs {
  Tensor values, times, b, c;
};
/// `[heads]` each.
struct StateSpaceWeights {
  Tensor dt_bias, a_log, d;
};
struct TimeLimits {
  double least_time = 0, most_time = std::numeric_limits<double>::infinity();
};

/// `state_space` of softplus(times + dt_bias) and -exp(a_log), plus the values times `d`; in the
/// type of the values. `state` becomes the next one.
Tensor skipped_state_space(const StateSpaceInputs& inputs, const StateSpaceWeights& weights,
                           const TimeLimits& limits, const std::optional<Tensor>& mask,
                           std::optional<Tensor>& state);

/// A norm of each of a row's parts.
struct GroupedNorm {
  Tensor weight;
  MLXNX_MEMBERS(weight)
  double eps;
  std::int64_t groups = 1;

  Tensor operator()(const Tensor& x) const;
};

/// The same and a gate: silu(gate) goes into it, or comes after it.
struct GatedNorm : GroupedNorm {
  bool gates_after = false;

  Tensor operator()(const Tensor& x, const Tensor& gate) const;
};

struct Mamba2Options {
  std::int64_t dims = 0;  ///< of the model
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t state_size = 0;
  std::int64_t groups = 1;
  std::int64_t kernel = 4;  ///< of the convolution
  bool conv_bias = true;
  bool bias = false;
  std::optional<bool> output_bias = std::nullopt;  ///< none: as `bias`
  TimeLimits limits = {};
  bool has_norm = true;  ///< else only a gate
  double norm_eps = 1e-5;
  std::int64_t norm_groups = 1;
  bool gates_after_norm = false;
};

struct Mamba2Mixer {
  CausalConv conv1d;
  nn::Linear in_proj, out_proj;
  Tensor dt_bias, A_log, D;
  std::optional<GatedNorm> norm;
  MLXNX_MEMBERS(conv1d, in_proj, dt_bias, A_log, D, norm, out_proj)
  Mamba2Options options;

  /// Throws: FormatError for sizes that don't fit each other.
  Mamba2Mixer(const Mamba2Options& options, Maker& maker);
  /// `layer` is that of the cache: two states.
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

/// `time_step_limit` of the settings. Throws: FormatError unless these are two numbers.
void take_time_limits(Mamba2Options& options, const Config& config);

}  // namespace mlxnx::llm
