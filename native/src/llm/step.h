// One forward pass: what its layers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "mlxnx/llm/cache.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// Keys and values that a pass attends to: those of the cache and its own.
struct Attended {
  CachedRows keys = {}, values = {};
  std::optional<Tensor> mask =
      std::nullopt;     ///< u8, broadcast to `[batch, heads, queries, keys]`; none: see all
  bool causal = false;  ///< in place of a mask
};

/// The pass of `length` tokens over a cache, which it brings up to date.
class Step {
 public:
  Step(Cache& cache, std::int64_t batch, std::int64_t length);
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::int64_t batch() const { return batch_; }
  std::int64_t length() const { return length_; }
  /// How many tokens came before, padding included.
  std::int64_t offset() const { return cache_.offset; }
  /// The position of the first token: s32, a scalar, or one for each text where they are padded.
  const Tensor& position() const { return position_; }
  /// The positions of all tokens: s32 `[length]`, or `[batch, length]` where they are padded.
  Tensor positions() const;

  /// Puts the keys and values of this pass, `[batch, heads, length, size]`, into the cache of a
  /// layer.
  Attended attend(std::size_t layer, const Tensor& keys, const Tensor& values);
  /// The states of a recurrent layer.
  std::vector<std::optional<Tensor>>& states(std::size_t layer);
  /// For recurrent layers: u8 `[batch, length]`, 0 for padding; none where there is none.
  std::optional<Tensor> token_mask() const;

  /// After the last layer.
  void finish() { cache_.offset += length_; }

 private:
  void add_mask(Attended& attended, std::int64_t keys, std::int64_t lost, std::int64_t window);

  Cache& cache_;
  std::int64_t batch_, length_;
  Tensor position_;
  /// Masks by the number of keys, of keys lost and by window.
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, Tensor> masks_;
};

}  // namespace mlxnx::llm
