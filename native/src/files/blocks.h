// ggml's blocks: as many elements as a type's row says share a scale, or a few. They are decoded to
// the floats that ggml's own reference gives, in every bit; NaN is NaN.
#pragma once

#include <cstddef>
#include <span>

#include "files/stored.h"

namespace mlxnx::files {

/// Whether elements of the type lie in blocks.
constexpr bool is_block_type(StoredType type) { return row_of(type).per_block > 1; }

/// The elements of whole blocks of a type, in their order; `out` has room for just as many.
/// Throws: ArgumentError where the sizes don't fit or the type has no blocks.
void decode_blocks(StoredType type, std::span<const std::byte> blocks, std::span<float> out);

/// Elements as blocks of Q8_0, Q4_0 or Q4_1, rounded as ggml's reference does; `blocks` has room
/// for just as many. (Where the least element of a block of Q4_1 is zero, the sign of zero is that
/// of the first one.) Throws: ArgumentError where the sizes don't fit, for other types, and for
/// NaN, infinities and elements so large that f16 does not hold their block's scale.
void encode_blocks(StoredType type, std::span<const float> elements, std::span<std::byte> blocks);

}  // namespace mlxnx::files
