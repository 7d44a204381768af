#include "files/unpack_blocks.h"

#include <cstring>

#include "files/block_parts.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr std::size_t kGroup = 32;

bool are_multiples(const AffineGroups& groups, float factor) {
  for (std::size_t i = 0; i < groups.scales.size(); ++i) {
    if (f16_as_f32(groups.biases[i]) != factor * f16_as_f32(groups.scales[i])) return false;
  }
  return true;
}

std::byte* put(std::byte* to, std::uint16_t half) {
  std::memcpy(to, &half, sizeof half);
  return to + sizeof half;
}

// 32 weights of four bits, in order, as the bytes whose low halves are the first sixteen.
void put_halves(const std::uint32_t* words, std::byte* to) {
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    const std::uint32_t low = words[i / 8] >> 4 * (i % 8) & 0xf;
    const std::uint32_t high = words[2 + i / 8] >> 4 * (i % 8) & 0xf;
    to[i] = static_cast<std::byte>(low | high << 4);
  }
}

void put_bytes(const std::uint32_t* words, std::byte* to) {
  for (std::size_t i = 0; i < kGroup; ++i) {
    const std::uint32_t weight = words[i / 4] >> 8 * (i % 4) & 0xff;
    to[i] = static_cast<std::byte>(weight ^ 0x80);  // 128 less, in two's complement
  }
}

}  // namespace

std::optional<StoredType> block_type(const AffineGroups& groups) {
  if (groups.bits == 4) return are_multiples(groups, -8) ? StoredType::kQ4_0 : StoredType::kQ4_1;
  if (groups.bits == 8 && are_multiples(groups, -128)) return StoredType::kQ8_0;
  return std::nullopt;
}

void unpack_blocks(const AffineGroups& groups, StoredType type, std::span<std::byte> blocks) {
  const std::size_t count = groups.scales.size();
  const auto words = static_cast<std::size_t>(groups.bits);  // for each group
  if (groups.biases.size() != count || groups.words.size() != count * words ||
      blocks.size() != count * row_of(type).block_bytes)
    throw ArgumentError("[unpack_blocks] the sizes don't fit each other");
  std::byte* to = blocks.data();
  for (std::size_t i = 0; i < count; ++i) {
    std::byte* quants = put(to, groups.scales[i]);
    if (type == StoredType::kQ4_1) quants = put(quants, groups.biases[i]);
    if (groups.bits == 4) {
      put_halves(&groups.words[i * words], quants);
    } else {
      put_bytes(&groups.words[i * words], quants);
    }
    to += row_of(type).block_bytes;
  }
}

}  // namespace mlxnx::files
