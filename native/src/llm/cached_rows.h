// Rows in memory that grows by blocks, dense or quantized alike.
#pragma once

#include <cstdint>

#include "mlxnx/llm/cache.h"

namespace mlxnx::llm::rows {

/// `[batch, heads, rows, size]` of either form: how many rows there are.
std::int64_t capacity(const CachedRows& all);
/// Rows `[from, from + count)`.
CachedRows part(const CachedRows& all, std::int64_t from, std::int64_t count);
CachedRows joined(const CachedRows& first, const CachedRows& second);
/// With as many rows of zeros behind.
CachedRows grown(const CachedRows& all, std::int64_t by);
/// Puts `some` from `at` on in place of its own rows: in their memory where nobody else has them.
void put(CachedRows& all, std::int64_t at, const CachedRows& some);
/// Dense rows in the form of `like`.
CachedRows in_form_of(const CachedRows& like, const Tensor& dense);
CachedRows quantized(const CachedRows& dense, const KvQuantization& form);
/// Throws: ShapeError where `quantized` can't make groups of them.
void require_groups(const CachedRows& dense, const KvQuantization& form);
std::size_t byte_size(const CachedRows& all);
void collect(const CachedRows& all, std::vector<Tensor>& tensors);

}  // namespace mlxnx::llm::rows
