// MLX's quantized weights as ggml's blocks, where a block says just the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "files/stored.h"

namespace mlxnx::files {

/// Weights of mode affine in groups of 32 with scales and biases of f16, as the file has them.
struct AffineGroups {
  int bits;
  std::span<const std::uint32_t> words;
  std::span<const std::uint16_t> scales, biases;
};

/// The type of blocks that hold just these weights: Q4_1, or Q4_0 and Q8_0 where every bias is -8
/// or -128 times its scale; nothing where there is none.
std::optional<StoredType> block_type(const AffineGroups& groups);

/// The weights as blocks of that type; `blocks` has room for just as many.
/// Throws: ArgumentError where the sizes don't fit.
void unpack_blocks(const AffineGroups& groups, StoredType type, std::span<std::byte> blocks);

}  // namespace mlxnx::files
