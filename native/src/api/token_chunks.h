// What recurrences over tokens share that compute a chunk of them at once.
#pragma once

#include <cstdint>

#include "mlxnx/tensor.h"

namespace mlxnx::chunks {

/// `[batch, length, heads, …]` as `[batch, heads, chunks, chunk, …]`, the last chunk filled up.
Tensor split(const Tensor& x, std::int64_t chunk, double filling);
/// And back, without the filling.
Tensor join(const Tensor& x, std::int64_t length);
/// What is left at a token of what came in at one before it: the product of all factors after the
/// earlier one, 0 for later ones. `factors` `[batch, heads, chunks, chunk, …]`; result
/// `[batch, heads, chunks, chunk (now), chunk (then), …]`.
Tensor decay_between(const Tensor& factors);
/// The inverse of 1 + `lower`, whose matrices have nothing on the diagonal and above it.
Tensor inverse_of_one_plus(const Tensor& lower);
/// `a · b` and `a · bᵀ` for matrices in the last two axes; the axes before are the same.
Tensor product(const Tensor& a, const Tensor& b);
Tensor product_transposed(const Tensor& a, const Tensor& b);
/// One where the row's number is larger than the column's, `[size, size]`.
Tensor below_diagonal(std::int64_t size);

}  // namespace mlxnx::chunks
