#include "files/nibbles.h"

#include <algorithm>

#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr std::size_t kPerWord = 8;

constexpr std::uint32_t nibble(std::uint32_t word, unsigned at) { return word >> 4 * at & 0xf; }

}  // namespace

void unpack_nibbles(std::span<const std::uint32_t> words, const NibbleOrder& order,
                    std::span<float> numbers) {
  if (numbers.size() != words.size() * kPerWord)
    throw ArgumentError("[unpack_nibbles] the sizes don't fit each other");
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t j = 0; j < kPerWord; ++j)
      numbers[i * kPerWord + j] = static_cast<float>(nibble(words[i], order[j]));
  }
}

void transpose_nibbles(std::span<const std::uint32_t> words, std::size_t rows,
                       const NibbleOrder& order, std::span<std::uint32_t> out) {
  const std::size_t packed_rows = rows / kPerWord;
  if (packed_rows == 0) return;
  const std::size_t packed_columns = words.size() / rows;
  if (rows % kPerWord != 0 || words.size() % rows != 0 || out.size() != words.size())
    throw ArgumentError("[transpose_nibbles] the sizes don't fit each other");
  // Both sides are walked in squares, so that what is written stays in the cache.
  constexpr std::size_t kSquare = 16;
  for (std::size_t row_start = 0; row_start < packed_rows; row_start += kSquare) {
    const std::size_t row_end = std::min(row_start + kSquare, packed_rows);
    for (std::size_t column = 0; column < packed_columns; ++column) {
      for (std::size_t row = row_start; row < row_end; ++row) {
        std::array<std::uint32_t, kPerWord> turned{};
        for (std::size_t i = 0; i < kPerWord; ++i) {
          const std::uint32_t word = words[(row * kPerWord + i) * packed_columns + column];
          for (std::size_t j = 0; j < kPerWord; ++j) turned[j] |= nibble(word, order[j]) << 4 * i;
        }
        for (std::size_t j = 0; j < kPerWord; ++j)
          out[(column * kPerWord + j) * packed_rows + row] = turned[j];
      }
    }
  }
}

}  // namespace mlxnx::files
