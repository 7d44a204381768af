// The rows of queries and keys: GGUF files of some architectures lay the two halves of a head into
// one another.
#pragma once

#include <cstdint>

#include "mlxnx/config.h"
#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// How many heads the queries have, or the keys. Throws: FormatError where the settings lack it.
std::int64_t heads(const Config& config, bool of_keys);

/// Rows in Hugging Face's order, of those that are interleaved; the first axis is a multiple of
/// twice the number of heads. No heads leave them as they are.
Tensor with_heads_apart(const Tensor& rows, std::int64_t heads);
/// The inverse.
Tensor with_heads_interleaved(const Tensor& rows, std::int64_t heads);

}  // namespace mlxnx::io
