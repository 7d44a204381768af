// State spaces of the first Mamba: rates of decay for each channel and each number of its state.
// mlx-lm: models/mamba.py, models/jamba.py
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "llm/maker.h"
#include "llm/parts/causal_conv.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

struct ScanResult {
  Tensor values;  ///< `[batch, length, channels]`
  Tensor state;   ///< `[batch, channels, width]`
};

/// s becomes exp(times · rates) s + times x b token by token, and the value is s c.
/// Shapes: `x` and `times` `[batch, length, channels]`, 0 where the state is to stay, `rates`
/// `[channels, width]`, `b` and `c` `[batch, length, width]`. Types: f32.
ScanResult selective_scan(const Tensor& x, const Tensor& times, const Tensor& rates,
                          const Tensor& b, const Tensor& c, const std::optional<Tensor>& state);

struct MambaOptions {
  std::int64_t dims = 0;   ///< of the model
  std::int64_t inner = 0;  ///< channels
  std::int64_t state_size = 0;
  std::int64_t kernel = 4;
  std::int64_t rank = 0;  ///< of the times
  bool conv_bias = true;
  bool bias = false;
  std::optional<double> plain_norm_eps = std::nullopt;  ///< norms without weights of times, B and C
  std::optional<double> norm_eps = std::nullopt;        ///< norms with weights
};

/// A number, or "auto": a sixteenth of the model's size, rounded up.
std::int64_t time_rank(const Config& config, std::string_view key);

struct MambaMixer {
  nn::Linear in_proj;
  CausalConv conv1d;
  nn::Linear x_proj, dt_proj;
  Tensor A_log, D;
  nn::Linear out_proj;
  std::optional<nn::RMSNorm> dt_layernorm, b_layernorm, c_layernorm;
  MLXNX_MEMBERS(in_proj, conv1d, x_proj, dt_proj, A_log, D, out_proj, dt_layernorm, b_layernorm,
                c_layernorm)
  MambaOptions options;

  MambaMixer(const MambaOptions& options, Maker& maker);
  /// `layer` is that of the cache: two states.
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

}  // namespace mlxnx::llm
