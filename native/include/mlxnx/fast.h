// Fused functions of neural networks under mlx.core.fast's names. On GPUs MLX's kernels compute
// them, on the CPU ones made for it; all can be traced, differentiated and mapped. 16-bit floats
// are summed in f32, f64 stays f64 throughout, integers count as f32.
//
//     Tensor h = fast::rms_norm(x, weight);
//     Tensor y = fast::scaled_dot_product_attention(q, k, v, {.causal = true});
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx::fast {

/// Options of the norms.
struct NormOptions {
  double eps = 1e-5;  ///< added to the mean square, so that it is no 0
};

/// Rows over the root of their mean square, times a weight.
/// Shapes: `x` `[…, n]`, `weight` `[n]`; none: 1. Types: the float that both meet in.
/// Throws: ShapeError for a scalar or a weight that does not fit; TypeError for complex numbers.
///
///     rms_norm(tensor({3.0, 4.0}), std::nullopt, {.eps = 0});  // f32[2] [0.848…, 1.131…]
Tensor rms_norm(const Tensor& x, const std::optional<Tensor>& weight = std::nullopt,
                const NormOptions& options = {});

/// Rows less their mean, over the root of their variance, times a weight, plus a bias.
/// Shapes: `x` `[…, n]`, `weight` and `bias` `[n]`; none: 1 and 0. Types: the float that all meet
/// in. Throws: as `rms_norm`.
///
///     layer_norm(tensor({1.0, 3.0}), std::nullopt, std::nullopt, {.eps = 0});  // f32[2] [-1, 1]
Tensor layer_norm(const Tensor& x, const std::optional<Tensor>& weight = std::nullopt,
                  const std::optional<Tensor>& bias = std::nullopt,
                  const NormOptions& options = {});

/// Options of `rope`.
struct RopeOptions {
  bool traditional = false;  ///< pairs of neighbours; else of the first half and the second
  double base = 10'000;      ///< of the frequencies, where they are not given
  double scale = 1;          ///< of positions
  Tensor offset = 0;         ///< the position of the first row: a scalar, or one for each example
  /// The length of a turn of each pair over 2 pi, `[dims / 2]`, in place of a base.
  std::optional<Tensor> frequencies = std::nullopt;
};

/// Rotary positions: pairs among the first `dims` numbers of each row, turned by the row's position
/// times a frequency.
/// Shapes: `x` `[batch, …, length, size]`. Types: floats stay. Frequencies, positions and the like
/// have no gradient that MLX knows; here they have.
/// Throws: ShapeError for fewer than three axes; ArgumentError for `dims` that is odd, not positive
/// or larger than a row; TypeError for an offset that is no integer.
///
///     rope(x, 64, {.offset = 128});
Tensor rope(const Tensor& x, std::int64_t dims, const RopeOptions& options = {});

/// Options of `scaled_dot_product_attention`.
struct AttentionOptions {
  std::optional<double> scale = std::nullopt;  ///< of products; none: 1 / sqrt(size)
  /// Broadcast to `[batch, heads, queries, keys]`: u8, 1 for keys that are seen, or floats, which
  /// are added to the products.
  std::optional<Tensor> mask = std::nullopt;
  /// The last query sees all keys, each one before it one key less. Not beside a mask.
  bool causal = false;
  /// For each head the product with a key that every query sees and that has no value.
  std::optional<Tensor> sinks = std::nullopt;
};

/// softmax(queries keysᵀ scale) values, for each head.
/// Shapes: `queries` `[batch, heads, queries, size]`, `keys` `[batch, shared, keys, size]`,
/// `values`
/// `[batch, shared, keys, width]`; `shared` divides the heads, neighbours of which share keys.
/// Result: `[batch, heads, queries, width]`. A query that a u8 mask, or causal, leaves no key gets
/// the mean of all values; one whose mask adds -infinity everywhere gets NaN, as from MLX.
/// Types: the float that all three meet in.
/// Throws: ShapeError for operands that do not fit; TypeError for complex numbers and for masks of
/// other types; ArgumentError for a mask together with causal.
///
///     scaled_dot_product_attention(q, k, v, {.scale = 0.125, .causal = true});
Tensor scaled_dot_product_attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                    const AttentionOptions& options = {});

/// Options of `softmax` and `logsumexp`.
struct SoftmaxOptions {
  std::optional<Axes> axes = std::nullopt;  ///< none: all
};

/// Exponentials over their sum, along some axes together.
/// Types: floats stay, integers become f32. Throws: ShapeError for an unknown axis.
///
///     softmax(tensor({0.0, 0.0}));  // f32[2] [0.5, 0.5]
Tensor softmax(const Tensor& x, const SoftmaxOptions& options = {});

/// Options of `logsumexp`.
struct LogSumExpOptions {
  std::optional<Axes> axes = std::nullopt;  ///< none: all
  bool keep_axes = false;                   ///< whether they stay, with size 1
};

/// The logarithm of the sum of exponentials along some axes, where no exponential overflows.
/// Types: floats stay, integers become f32. Throws: ShapeError for an unknown axis.
///
///     logsumexp(tensor({1000.0, 1000.0}));  // f32 1000.693…
Tensor logsumexp(const Tensor& x, const LogSumExpOptions& options = {});

/// Options of `logcumsumexp`.
struct LogCumSumExpOptions {
  std::int64_t axis = 0;
  bool reverse = false;  ///< whether it runs from the last element to the first
  bool inclusive =
      true;  ///< whether an element counts itself; the first sum is -infinity otherwise
};

/// The logarithm of running sums of exponentials along an axis.
/// Types: floats stay, integers become f32. Throws: ShapeError for an unknown axis.
///
///     logcumsumexp(tensor({0.0, 0.0}));  // f32[2] [0.0, 0.693…]
Tensor logcumsumexp(const Tensor& x, const LogCumSumExpOptions& options = {});

struct GatedDeltaResult {
  Tensor values;  ///< `[batch, length, heads, width]`
  Tensor state;   ///< `[batch, heads, width, size]`
};

/// Options of `gated_delta_update`.
struct GatedDeltaOptions {
  std::optional<Tensor> initial_state = std::nullopt;  ///< none: zeros
  std::optional<Tensor> mask = std::nullopt;  ///< `[batch, length]`, 0 where the state stays
};

/// A linear attention whose state is corrected step by step: with s the state times its gate,
/// s + beta (v - s k) kᵀ is the next one, and that times q the value of the step.
/// Shapes: `queries` and `keys` `[batch, length, shared, size]`, `values` `[batch, length, heads,
/// width]`, `beta` `[batch, length, heads]`, `gates` the same or one for each number of a key,
/// `[batch, length, heads, size]`; `shared` divides the heads. Many tokens are computed in chunks.
/// Throws: ShapeError for operands that do not fit.
///
///     auto [y, state] = gated_delta_update(q, k, v, gates, beta);
GatedDeltaResult gated_delta_update(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                    const Tensor& gates, const Tensor& beta,
                                    const GatedDeltaOptions& options = {});

}  // namespace mlxnx::fast
