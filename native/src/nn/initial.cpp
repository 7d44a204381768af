#include "nn/initial.h"

#include <array>
#include <numbers>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::nn {
namespace {

Tensor word(std::uint32_t value) { return Tensor(Number(std::uint64_t{value}), DType::u32); }

Tensor rotated(const Tensor& x, std::uint32_t bits) {
  return bitwise_or(left_shift(x, word(bits)), right_shift(x, word(32 - bits)));
}

// Threefry with 20 rounds (Salmon et al. 2011), of a counter and 0: two words for each count.
std::array<Tensor, 2> threefry(const Tensor& key, const Tensor& counts) {
  constexpr std::uint32_t kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const Tensor first = slice(key, {0}, {1}), second = slice(key, {1}, {1});
  const std::array<Tensor, 3> keys{first, second,
                                   bitwise_xor(bitwise_xor(first, second), word(0x1BD11BDA))};
  Tensor x = counts + keys[0];
  Tensor y = broadcast(keys[1], counts.shape());
  for (std::uint32_t round = 0; round < 5; ++round) {
    for (const std::uint32_t bits : kRotations[round % 2]) {
      x = x + y;
      y = bitwise_xor(rotated(y, bits), x);
    }
    x = x + keys[(round + 1) % 3];
    y = y + keys[(round + 2) % 3] + word(round + 1);
  }
  return {x, y};
}

Tensor counts_to(std::int64_t count) { return iota({count}, {.type = DType::u32}); }

// 23 random bits as a number between 0 and 1, which f32 holds with half a step added.
Tensor fractions(const Tensor& key, const Shape& shape) {
  const Tensor bits = threefry(key, counts_to(element_count(shape)))[0];
  const Tensor steps = as_type(right_shift(bits, word(9)), DType::f32);
  return reshape(steps * (1.0 / (1 << 23)), shape);
}

}  // namespace

std::vector<Tensor> split_key(const Tensor& key, std::int64_t count, std::string_view owner) {
  if (key.type() != TensorType{DType::u32, {2}}) {
    throw TypeError("[" + std::string(owner) + "] a key is a u32[2], got " + to_string(key.type()));
  }
  const auto [x, y] = threefry(key, counts_to(count));
  const Tensor pairs = stack({x, y}, {.axis = 1});
  std::vector<Tensor> keys;
  for (std::int64_t i = 0; i < count; ++i)
    keys.push_back(reshape(slice(pairs, {i, 0}, {1, 2}), {2}));
  return keys;
}

Tensor random_uniform(const Tensor& key, const Shape& shape, double low, double high) {
  return fractions(key, shape) * (high - low) + low;
}

Tensor random_normal(const Tensor& key, const Shape& shape, double deviation) {
  const Tensor centred = fractions(key, shape) * 2 + (1.0 / (1 << 23) - 1);
  return erf_inv(centred) * (deviation * std::numbers::sqrt2);
}

Tensor zeros(const Shape& shape) { return broadcast(Tensor(0.0), shape); }
Tensor ones(const Shape& shape) { return broadcast(Tensor(1.0), shape); }

}  // namespace mlxnx::nn
