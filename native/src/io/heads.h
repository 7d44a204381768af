// The rows of queries and keys: GGUF files of some architectures lay the two halves of a head into
// one another.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/gguf_names.h"
#include "mlxnx/config.h"
#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// How many heads a tensor of this name (Hugging Face's) and so many rows consists of, or 0 where
/// the architecture leaves its rows in order. Throws: FormatError where the settings don't say, or
/// the rows are no multiple of twice as many.
std::int64_t interleaved_heads(const GgufArchitecture& architecture, const Config& config,
                               std::string_view name, const Shape& shape);

/// Rows in Hugging Face's order, of those that are interleaved. No heads leave them as they are.
Tensor with_heads_apart(const Tensor& rows, std::int64_t heads);
/// The inverse.
Tensor with_heads_interleaved(const Tensor& rows, std::int64_t heads);

}  // namespace mlxnx::io
