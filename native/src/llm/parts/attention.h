// Attention over a cache, and the layer of it that most families share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "llm/maker.h"
#include "llm/parts/rope.h"
#include "llm/step.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"

namespace mlxnx::llm {

struct AttendOptions {
  double scale = 1;                            ///< of products
  std::optional<Tensor> sinks = std::nullopt;  ///< one for each head
  double softcap = 0;                          ///< products stay below it; 0: they are free
};

/// Puts keys and values into the cache of a layer and attends to all that it holds:
/// `[batch, heads, length, size]` each, where the heads of keys and values divide those of queries.
Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, Step& step,
              std::size_t layer, const AttendOptions& options);

/// `[batch, length, heads · size]` to `[batch, heads, length, size]`, and back.
Tensor to_heads(const Tensor& x, std::int64_t heads);
Tensor from_heads(const Tensor& x);

struct AttentionOptions {
  std::int64_t dims = 0;  ///< of the model
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  bool bias = false;                               ///< of queries, keys and values
  std::optional<bool> output_bias = std::nullopt;  ///< none: as `bias`
  std::optional<double> scale = std::nullopt;      ///< none: 1 / sqrt(head_dim)
  std::optional<double> norm_eps = std::nullopt;   ///< norms of each head's queries and keys
  double softcap = 0;
};

/// `num_attention_heads`, `num_key_value_heads`, `head_dim` and `hidden_size` of the settings.
AttentionOptions attention_options(const Config& config);

/// Queries, keys and values by a matrix each, turned by their positions.
struct Attention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<nn::RMSNorm> q_norm, k_norm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm)

  std::optional<Rope> rope;  ///< none: positions are not told
  std::int64_t heads, kv_heads;
  AttendOptions attending;

  Attention(const AttentionOptions& options, std::optional<Rope> rope, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

}  // namespace mlxnx::llm
