// Layers that tell a model where in a sequence it is.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct RoPEOptions {
  std::int64_t dims = kRequired;  ///< how much of a row is turned, an even number
  bool traditional = false;       ///< pairs of neighbours; else of the first half and the second
  double base = 10000;            ///< of the frequencies
  double scale = 1;               ///< of positions
  MLXNX_MEMBERS(dims, traditional, base, scale)
};

/// Rotary positions (Su and others, 2021): pairs among the first `dims` numbers of each row, turned
/// by the row's position times a frequency. mlx: nn.RoPE
///
///     nn::RoPE layer({.dims = 8});
///     layer(x, 100);  // f32[2][5][8], whose first row has the position 100
struct RoPE {
  using Options = RoPEOptions;
  std::int64_t dims;
  bool traditional;
  double base, scale;
  MLXNX_MEMBERS(dims, traditional, base, scale)

  /// Throws: ArgumentError for `dims` that are odd or below 2, and for a base that is not positive.
  explicit RoPE(const RoPEOptions& options);
  /// `x` is `[…, length, size]`; `offset`, a scalar, is the position of the first row.
  /// Throws: ShapeError for rows of less than `dims` numbers, and an offset that is no scalar.
  Tensor operator()(const Tensor& x, const Tensor& offset = 0) const;
};

struct SinusoidalPositionalEncodingOptions {
  std::int64_t dims = kRequired;  ///< an even number
  double min_freq = 0.0001;
  double max_freq = 1;
  std::optional<double> scale = std::nullopt;  ///< none: sqrt(2 / dims)
  bool cos_first = false;                      ///< cosines before sines
  bool full_turns = false;                     ///< frequencies count whole turns, not radians
  MLXNX_MEMBERS(dims, min_freq, max_freq, scale, cos_first, full_turns)
};

/// Sines and cosines of each number times frequencies from the highest to the lowest (Vaswani and
/// others, 2017). mlx: nn.SinusoidalPositionalEncoding
///
///     nn::SinusoidalPositionalEncoding layer({.dims = 8});
///     layer(iota({5}, {.type = DType::f32}));  // f32[5][8]
struct SinusoidalPositionalEncoding {
  using Options = SinusoidalPositionalEncodingOptions;
  std::int64_t dims;
  double min_freq, max_freq, scale;
  bool cos_first, full_turns;
  MLXNX_MEMBERS(dims, min_freq, max_freq, scale, cos_first, full_turns)

  /// Throws: ArgumentError for `dims` that are odd or below 2, and frequencies that are not
  /// positive.
  explicit SinusoidalPositionalEncoding(const SinusoidalPositionalEncodingOptions& options);
  /// Answers one axis more than `x` has. Types: at least f32.
  Tensor operator()(const Tensor& x) const;
};

struct ALiBiOptions {
  MLXNX_MEMBERS()
};

/// Attention scores less the distance of query and key, times a slope that each head has its own of
/// (Press and others, 2021). mlx: nn.ALiBi
///
///     nn::ALiBi()(scores);  // scores f32[1][4][3][3]: batch, heads, queries, keys
struct ALiBi {
  using Options = ALiBiOptions;
  MLXNX_MEMBERS()

  explicit ALiBi(const ALiBiOptions& = {}) {}
  /// `scores` are `[…, heads, queries, keys]`, `offset` is the position of the first query, and
  /// `mask` is added. Throws: ShapeError for fewer axes.
  Tensor operator()(const Tensor& scores, std::int64_t offset = 0,
                    const std::optional<Tensor>& mask = std::nullopt) const;
};

}  // namespace mlxnx::nn
