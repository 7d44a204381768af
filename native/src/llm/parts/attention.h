// Attention over a cache, and the layer of it that most families share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "llm/maker.h"
#include "llm/parts/norm.h"
#include "llm/parts/rope.h"
#include "llm/step.h"
#include "mlxnx/nn/linear.h"

namespace mlxnx::llm {

struct AttendOptions {
  double scale = 1;                            ///< of products
  std::optional<Tensor> sinks = std::nullopt;  ///< one for each head
  double softcap = 0;                          ///< products stay below it; 0: they are free
  bool wide = false;                           ///< products in f32, whatever the types are
  std::int64_t chunk = 0;  ///< only keys of a query's own so many tokens are seen; 0: any
};

/// Puts keys and values into the cache of a layer and attends to all that it holds:
/// `[batch, heads, length, size]` each, where the heads of keys and values divide those of queries.
Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, Step& step,
              std::size_t layer, const AttendOptions& options);

/// The second half of it, for layers that share what another one remembers.
Tensor attend_to(const Attended& attended, const Tensor& queries, const Step& step,
                 const AttendOptions& options);

/// Which keys the queries see: u8, broadcast to `[batch, heads, queries, keys]`.
Tensor mask_of(const Attended& attended, std::int64_t queries, std::int64_t keys);

/// `[batch, length, heads · size]` to `[batch, heads, length, size]`, and back.
Tensor to_heads(const Tensor& x, std::int64_t heads);
Tensor from_heads(const Tensor& x);
/// What one matrix answers, cut along the last axis into parts of these sizes.
std::vector<Tensor> parts_of(const Tensor& x, const std::vector<std::int64_t>& sizes);

/// How much larger queries become with their position: 1 + beta · log(1 + ⌊position / length⌋).
struct QueryGrowth {
  double beta = 0;
  double length = 1;
  std::int64_t first = 0;  ///< the position of the first token
};

struct AttentionOptions {
  std::int64_t dims = 0;  ///< of the model
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  bool bias = false;                               ///< of queries, keys and values
  std::optional<bool> output_bias = std::nullopt;  ///< none: as `bias`
  std::optional<double> scale = std::nullopt;      ///< none: 1 / sqrt(head_dim)
  std::optional<double> norm_eps = std::nullopt;   ///< norms of each head's queries and keys
  bool norms_rows = false;                         ///< of all heads at once, rather
  double softcap = 0;
  bool wide = false;  ///< see AttendOptions
};

/// `num_attention_heads`, `num_key_value_heads`, `head_dim` and `hidden_size` of the settings.
/// Throws: FormatError for heads of no size, and those that can't share keys and values.
AttentionOptions attention_options(const Config& config);
/// Throws: FormatError unless the heads together have as many numbers as the model.
void check_heads_fill(const AttentionOptions& options);
/// How many numbers of a head that part of it is.
std::int64_t rotary_dims(std::int64_t head_dim, double part);

/// What an attention does between its matrices: norms, positions, the products.
struct AttentionCore {
  std::optional<Rope> rope;  ///< none: positions are not told
  std::int64_t heads, kv_heads;
  AttendOptions attending;
  bool norms_rows = false;
  bool norms_last = false;  ///< after the positions
  std::optional<QueryGrowth> growth = std::nullopt;

  AttentionCore(const AttentionOptions& options, std::optional<Rope> rope);
  /// Takes and answers rows, `[batch, length, heads · size]`.
  Tensor operator()(Tensor queries, Tensor keys, const Tensor& values, Step& step,
                    std::size_t layer, const std::optional<Norm>& q_norm = std::nullopt,
                    const std::optional<Norm>& k_norm = std::nullopt) const;
};

/// Queries, keys and values by a matrix each. Families with other names for the members derive from
/// it and say them (`member_names`).
struct Attention : AttentionCore {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<Norm> q_norm, k_norm;
  MLXNX_MEMBERS(q_proj, k_proj, v_proj, o_proj, q_norm, k_norm)

  Attention(const AttentionOptions& options, std::optional<Rope> rope, Maker& maker);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

/// All of them by one matrix.
struct FusedAttention : AttentionCore {
  nn::Linear qkv_proj, o_proj;
  std::optional<Norm> q_norm, k_norm;
  MLXNX_MEMBERS(qkv_proj, o_proj, q_norm, k_norm)

  std::int64_t head_dim;
  /// Its rows are, for each head of keys, the queries that share it, the key and the value; else
  /// all queries, all keys, all values.
  bool by_group;

  FusedAttention(const AttentionOptions& options, std::optional<Rope> rope, Maker& maker,
                 bool by_group = false);
  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const;
};

}  // namespace mlxnx::llm
