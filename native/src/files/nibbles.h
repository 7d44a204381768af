// Weights of 4 bits as the quantizers AWQ and GPTQ pack them, eight in a word.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mlxnx::files {

/// At which nibble of a word, counted from the lowest, each of its eight weights stands.
using NibbleOrder = std::array<std::uint8_t, 8>;
inline constexpr NibbleOrder kInOrder = {0, 1, 2, 3, 4, 5, 6, 7};
inline constexpr NibbleOrder kAwqOrder = {0, 4, 1, 5, 2, 6, 3, 7};

/// Words as numbers, eight for each. Throws here and below: ArgumentError where the sizes don't
/// fit.
void unpack_nibbles(std::span<const std::uint32_t> words, const NibbleOrder& order,
                    std::span<float> numbers);

/// The transposed matrix: `words` are `[rows, columns / 8]` in `order`, `out` is
/// `[columns, rows / 8]` in order. `rows` is a multiple of eight.
void transpose_nibbles(std::span<const std::uint32_t> words, std::size_t rows,
                       const NibbleOrder& order, std::span<std::uint32_t> out);

}  // namespace mlxnx::files
