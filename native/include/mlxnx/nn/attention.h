// Attention with several heads, and what says which keys a query sees.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// Which keys a query sees: all of them, unless it is made of a tensor that broadcasts to
/// `[batch, heads, queries, keys]`, or is `causal`. A u8, as comparisons answer, is other than 0
/// for keys that are seen; floats are added to the products, so that keys where they are very low
/// count for nothing.
///
///     layer(x, x, x);
///     layer(x, x, x, nn::AttentionMask::causal());
///     layer(x, x, x, nn::create_additive_causal_mask(x.shape()[1]));
struct AttentionMask {
  std::optional<Tensor> tensor;
  bool is_causal = false;
  MLXNX_MEMBERS(tensor, is_causal)

  AttentionMask() = default;
  AttentionMask(Tensor mask) : tensor(std::move(mask)) {}
  AttentionMask(std::optional<Tensor> mask) : tensor(std::move(mask)) {}
  AttentionMask(std::nullopt_t) {}
  /// The last query sees all keys, each one before it one key less.
  static AttentionMask causal() {
    AttentionMask mask;
    mask.is_causal = true;
    return mask;
  }
};

struct MultiHeadAttentionOptions {
  std::int64_t dims = kRequired;  ///< of the projected queries and keys, a multiple of the heads
  std::int64_t num_heads = kRequired;
  std::optional<std::int64_t> query_input_dims = {};   ///< none: `dims`
  std::optional<std::int64_t> key_input_dims = {};     ///< none: `dims`
  std::optional<std::int64_t> value_input_dims = {};   ///< none: those of the keys
  std::optional<std::int64_t> value_dims = {};         ///< none: `dims`; a multiple of the heads
  std::optional<std::int64_t> value_output_dims = {};  ///< none: `dims`
  bool bias = false;
  MLXNX_MEMBERS(dims, num_heads, query_input_dims, key_input_dims, value_input_dims, value_dims,
                value_output_dims, bias)
};

/// Scaled products of projected queries and keys, as shares of projected values, for each head; the
/// heads side by side are projected again. A query that sees no key gets the mean of all values.
/// mlx: nn.MultiHeadAttention
///
///     nn::MultiHeadAttention layer({.dims = 8, .num_heads = 2}, key);
///     layer(x, memory, memory);  // f32[2][3][8] and f32[2][5][8] become f32[2][3][8]
struct MultiHeadAttention {
  using Options = MultiHeadAttentionOptions;
  Linear query_proj, key_proj, value_proj, out_proj;
  std::int64_t num_heads;
  MLXNX_MEMBERS(query_proj, key_proj, value_proj, out_proj, num_heads)

  /// Throws: ArgumentError for sizes that are no multiple of the heads, or below 1.
  MultiHeadAttention(const MultiHeadAttentionOptions& options, const Tensor& key);
  /// Tensors are `[batch, length, dims]`, or all without a batch. Throws: ShapeError for sizes that
  /// do not fit; TypeError for a mask of integers other than u8.
  Tensor operator()(const Tensor& queries, const Tensor& keys, const Tensor& values,
                    const AttentionMask& mask = {}) const;
};

/// A mask to be added, by which each of `N` queries sees the keys up to its own place: the lowest
/// finite number elsewhere. Throws: ArgumentError for less than 1; TypeError for a type that is no
/// float. mlx: nn.MultiHeadAttention.create_additive_causal_mask
///
///     create_additive_causal_mask(2);  // f32[2][2] [[0.0, -3.4e38], [0.0, 0.0]]
Tensor create_additive_causal_mask(std::int64_t N, DType dtype = DType::f32);

}  // namespace mlxnx::nn
