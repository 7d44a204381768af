// Random bits, as ops on integers.
#include <array>
#include <cstdint>

#include "mlxnx/mlxnx.h"
#include "ops/composed.h"

namespace mlxnx::ops::composed {
namespace {

Tensor word(std::uint32_t value) { return Tensor(Number(std::uint64_t{value}), DType::u32); }

Tensor rotated(const Tensor& x, std::uint32_t bits) {
  return bitwise_or(left_shift(x, word(bits)), right_shift(x, word(32 - bits)));
}

using Pair = std::array<Tensor, 2>;

// Threefry-2x32 with 20 rounds (Salmon and others, 2011).
Pair threefry(const Tensor& key, Tensor x, Tensor y) {
  constexpr std::uint32_t kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const Tensor first = slice(key, {0}, {1}), second = slice(key, {1}, {1});
  const Tensor keys[] = {first, second, bitwise_xor(bitwise_xor(first, second), word(0x1BD11BDA))};
  x = x + keys[0];
  y = y + keys[1];
  for (std::uint32_t block = 1; block <= 5; ++block) {
    for (const std::uint32_t rotation : kRotations[(block - 1) % 2]) {
      x = x + y;
      y = bitwise_xor(rotated(y, rotation), x);
    }
    x = x + keys[block % 3];
    y = y + keys[(block + 1) % 3] + word(block);
  }
  return {x, y};
}

// The narrow elements in each word, the lowest first.
Tensor narrow(const Tensor& words, DType type) {
  const auto bits = static_cast<std::uint32_t>(8 * size_bytes(type));
  std::vector<Tensor> parts;
  for (std::uint32_t shift = 0; shift < 32; shift += bits) {
    const Tensor shifted = right_shift(words, word(shift));
    parts.push_back(as_type(bitwise_and(shifted, word((1U << bits) - 1)), type));
  }
  return flatten(stack(parts, {.axis = 1}));
}

}  // namespace

std::vector<Tensor> random_bits(const Composition& call) {
  const auto type = call.attr<DType>("type");
  const auto shape = call.attr<Axes>("shape");
  const std::int64_t count = element_count(shape);
  const std::int64_t bytes = count * static_cast<std::int64_t>(size_bytes(type));
  const std::int64_t words = (bytes + 3) / 4, half = words / 2, odd = words % 2;
  // Where the number of words is odd, the one in the middle is made of a counter of its own.
  const Tensor counts = iota({half + odd}, {.type = DType::u32});
  const Tensor others = select(less(counts, word(static_cast<std::uint32_t>(half))),
                               counts + word(static_cast<std::uint32_t>(half + odd)), word(0));
  const auto [x, y] = threefry(call.in[0], counts, others);
  const Tensor all = half == 0 ? x : concatenate({x, slice(y, {0}, {half})});
  const Tensor elements = type == DType::u32 ? all : narrow(all, type);
  return {reshape(slice(elements, {0}, {count}), shape)};
}

}  // namespace mlxnx::ops::composed
