// Attention in vectors of the CPU at hand: values weighted by the softmax of products of queries
// and keys, in memory that does not grow with either. Nothing here knows MLX or starts threads.
//
// Products and sums are f32. Several heads of queries may share one of keys and values.
#pragma once

#include <cstdint>

#include "kernels/floats.h"

namespace mlxnx::kernels {

/// Numbers of `[batch, heads, rows, size]`, and the steps along these axes, in elements.
struct HeadRows {
  const void* data = nullptr;
  Float type = Float::kF32;
  std::int64_t batch_step = 0, head_step = 0, row_step = 0, step = 1;
};

/// What is added to the products, or which of them count, for `[batch, heads, queries, keys]`; the
/// steps are in elements, and 0 where all share one.
struct AttentionMask {
  enum class Kind : std::uint8_t { kNone, kSeen, kAdded };
  Kind kind = Kind::kNone;
  const void* data = nullptr;  ///< kSeen: bytes, 0 where not to look; kAdded: numbers of f32
  std::int64_t batch_step = 0, head_step = 0, query_step = 0, key_step = 0;
};

struct Attention {
  std::int64_t batch = 1, heads = 1;
  std::int64_t kv_heads = 1;  ///< of which `heads` is a multiple
  std::int64_t queries = 0, keys = 0;
  std::int64_t size = 0, value_size = 0;  ///< of a row of queries and keys, and of values
  HeadRows q, k, v;
  float scale = 1;
  bool causal = false;  ///< the last query sees all keys, each other one less; queries <= keys
  AttentionMask mask;   ///< not beside `causal`
  const float* sinks = nullptr;  ///< of each head: a product more, that has no value
  std::int64_t sink_step = 1;    ///< from one of them to the next
  void* out = nullptr;           ///< `[batch, heads, queries, value_size]` in rows
  Float out_type = Float::kF32;
};

/// Pieces of work that may be done in any order, each by `attend` on any thread.
std::int64_t attention_parts(const Attention& call);

/// Throws: std::bad_alloc.
void attend(const Attention& call, std::int64_t part);

}  // namespace mlxnx::kernels
