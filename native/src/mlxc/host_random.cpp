// MLX's counter-based generator (Threefry-2x32, 20 rounds) for small arrays.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"

namespace mlxnx::mlxc::host {
namespace {

using Words = std::array<std::uint32_t, 2>;

Words threefry(Words key, Words counter) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const std::uint32_t keys[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA};
  auto [x, y] = counter;
  x += keys[0];
  y += keys[1];
  for (std::uint32_t block = 1; block <= 5; ++block) {
    for (const int rotation : kRotations[(block - 1) % 2]) {
      x += y;
      y = std::rotl(y, rotation) ^ x;
    }
    x += keys[block % 3];
    y += keys[(block + 1) % 3] + block;
  }
  return {x, y};
}

mlx_dtype unsigned_of(int width) {
  if (width == 1) return MLX_UINT8;
  return width == 2 ? MLX_UINT16 : MLX_UINT32;
}

}  // namespace

// A counter (i, half + i) gives the words at both places. Of an odd number of words the one in the
// middle comes from the counter (half, 0), and the last word may be needed in part only.
Array random_bits(const Array& key, const Ints& shape, int width) {
  const Source source(key);
  if (!source || source.type != MLX_UINT32 || source.size != 2) return {};
  Array out = result({shape.data(), shape.size()}, unsigned_of(width));
  if (out.empty()) return out;
  const Words keys{source.as<std::uint32_t>()[0], source.as<std::uint32_t>()[1]};
  const std::size_t bytes = static_cast<std::size_t>(out.size()) * static_cast<std::size_t>(width);
  const std::size_t words = (bytes + 3) / 4, half = words / 2, odd = words % 2;
  const auto put = [&](std::size_t at, std::uint32_t word) {
    std::memcpy(out.host_data() + 4 * at, &word, std::min<std::size_t>(4, bytes - 4 * at));
  };
  for (std::size_t i = 0; i < half; ++i) {
    const auto second = static_cast<std::uint32_t>(half + odd + i);
    const Words both = threefry(keys, {static_cast<std::uint32_t>(i), second});
    put(i, both[0]);
    put(second, both[1]);
  }
  if (odd != 0) put(half, threefry(keys, {static_cast<std::uint32_t>(half), 0})[0]);
  return out;
}

}  // namespace mlxnx::mlxc::host
