// What layers compute that devices have kernels for: each in one place.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// softmax(queries keysᵀ scale) values, for each head: `[batch, heads, length, size]`. A mask
/// broadcasts to `[batch, heads, queries, keys]`: u8, other than 0 for keys that are seen, or
/// floats that are added. `causal`: the last query sees all keys, each one before it one key less.
/// A query that sees no key gets the mean of all values.
Tensor attention(const Tensor& queries, const Tensor& keys, const Tensor& values, double scale,
                 const std::optional<Tensor>& mask, bool causal);

struct Rotation {
  std::int64_t dims;
  bool traditional;
  double base, scale;
};

/// The first `dims` numbers of each row of `x`, a tensor `[batch, …, length, size]`, turned in
/// pairs by an angle that grows along the length. `offset`, a scalar, is the first row's place.
Tensor rotated(const Tensor& x, const Rotation& rotation, const Tensor& offset);

}  // namespace mlxnx::nn
