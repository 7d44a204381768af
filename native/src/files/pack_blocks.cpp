#include "files/pack_blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "files/block_parts.h"
#include "files/blocks.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

using Bytes = BlockBytes;

// Words. All integers are little-endian, so that the first element stands in the lowest bits.

std::uint64_t u64_at(Bytes bytes) {
  std::uint64_t number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

constexpr std::uint64_t kLowHalves = 0x0f0f0f0f0f0f0f0fU;

// The low halves of eight bytes, behind each other.
inline std::uint32_t low_halves(std::uint64_t bytes) {
  bytes &= kLowHalves;
  bytes = (bytes | bytes >> 4) & 0x00ff00ff00ff00ffU;
  bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffffU;
  return static_cast<std::uint32_t>(bytes | bytes >> 16);
}

// `bytes` bytes hold first the elements of their low halves, then those of the others.
inline void put_halves(Bytes quants, int bytes, std::uint32_t* words) {
  for (int i = 0; i < bytes / 8; ++i) {
    const std::uint64_t eight = u64_at(quants + i * 8);
    words[i] = low_halves(eight);
    words[bytes / 8 + i] = low_halves(eight >> 4);
  }
}

// Of eight bytes of five bits each, the 40 bits.
inline std::uint64_t five_bits(std::uint64_t bytes) {
  bytes = (bytes & 0x001f001f001f001fU) | (bytes & 0x1f001f001f001f00U) >> 3;
  bytes = (bytes & 0x000003ff000003ffU) | (bytes & 0x03ff000003ff0000U) >> 6;
  return (bytes & 0xfffffU) | (bytes >> 32 << 20);
}

// 32 integers of five bits, each in a byte.
using Fives = std::array<std::uint64_t, 4>;

inline void put_five_bits(const Fives& quants, std::uint32_t* words) {
  const std::uint64_t a = five_bits(quants[0]), b = five_bits(quants[1]);
  const std::uint64_t c = five_bits(quants[2]), d = five_bits(quants[3]);
  words[0] = static_cast<std::uint32_t>(a);
  words[1] = static_cast<std::uint32_t>(a >> 32 | b << 8);
  words[2] = static_cast<std::uint32_t>(b >> 24 | c << 16);
  words[3] = static_cast<std::uint32_t>(c >> 16 | d << 24);
  words[4] = static_cast<std::uint32_t>(d >> 8);
}

// The bits of a byte as the fifth ones of eight bytes.
inline std::uint64_t as_fifth_bits(std::uint8_t bits) {
  const std::uint64_t one_each = (bits * 0x0101010101010101U) & 0x8040201008040201U;
  return ((one_each + 0x7f7f7f7f7f7f7f7fU) & 0x8080808080808080U) >> 3;
}

inline void put_five_bits(Bytes fifth, Bytes quants, std::uint32_t* words) {
  Fives all;
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t eight = u64_at(quants + i * 8);
    all[i] = (eight & kLowHalves) | as_fifth_bits(fifth[i]);
    all[2 + i] = (eight >> 4 & kLowHalves) | as_fifth_bits(fifth[2 + i]);
  }
  put_five_bits(all, words);
}

// Eight floats of 4 bits without negative zeros.
inline std::uint32_t without_negative_zeros(std::uint32_t word) {
  const std::uint32_t magnitudes = word & 0x77777777U;
  return word & (magnitudes | ((magnitudes + 0x77777777U) & 0x88888888U));
}

// Where scales or biases go.
template <typename T>
class Out {
 public:
  explicit Out(std::span<std::byte> out) : at_(out.data()) {}
  void put(T number) {
    std::memcpy(at_, &number, sizeof number);
    at_ += sizeof number;
  }

 private:
  std::byte* at_;
};

inline void put(Out<float>& out, float number) { out.put(number); }
inline void put(Out<std::uint16_t>& out, float number) { out.put(f32_as_f16(number)); }
inline void put_half(Out<float>& out, Bytes half) { out.put(f16_at(half)); }
inline void put_half(Out<std::uint16_t>& out, Bytes half) { out.put(u16_at(half)); }

template <typename T>
class AffinePacker {
 public:
  AffinePacker(std::span<std::uint32_t> words, std::span<std::byte> scales,
               std::span<std::byte> biases)
      : words_(words.data()), scales_(scales), biases_(biases) {}

  void pack(StoredType type, Bytes blocks, std::size_t count) {
    switch (type) {
      case StoredType::kQ4_0:
        return each<&AffinePacker::q4_0>(type, blocks, count);
      case StoredType::kQ4_1:
        return each<&AffinePacker::q4_1>(type, blocks, count);
      case StoredType::kQ5_0:
        return each<&AffinePacker::q5_0>(type, blocks, count);
      case StoredType::kQ5_1:
        return each<&AffinePacker::q5_1>(type, blocks, count);
      case StoredType::kQ8_0:
        return each<&AffinePacker::q8_0>(type, blocks, count);
      case StoredType::kQ4_K:
        return each<&AffinePacker::q4_k>(type, blocks, count);
      default:
        return each<&AffinePacker::q5_k>(type, blocks, count);
    }
  }

 private:
  template <auto kPackOne>
  void each(StoredType type, Bytes block, std::size_t count) {
    for (; count > 0; --count, block += row_of(type).block_bytes) (this->*kPackOne)(block);
  }

  void q4_0(Bytes block) {
    centred(block, 8);
    halves(block + 2, 16);
  }
  void q4_1(Bytes block) {
    with_bias(block);
    halves(block + 4, 16);
  }
  void q5_0(Bytes block) {
    centred(block, 16);
    fives(block + 2, block + 6);
  }
  void q5_1(Bytes block) {
    with_bias(block);
    fives(block + 4, block + 8);
  }
  void q8_0(Bytes block) {
    centred(block, 128);
    for (int i = 0; i < 8; ++i) *words_++ = u32_at(block + 2 + i * 4) ^ 0x80808080U;
  }
  void q4_k(Bytes block) {
    grouped(block);
    for (int pair = 0; pair < 4; ++pair) halves(block + 16 + pair * 32, 32);
  }
  void q5_k(Bytes block) {
    grouped(block);
    for (int group = 0; group < 8; ++group, words_ += 5) {
      const Bytes fifth = block + 16, quants = block + 48 + group / 2 * 32;
      Fives all;
      for (int i = 0; i < 4; ++i) {
        const std::uint64_t low = u64_at(quants + i * 8) >> (group % 2 * 4) & kLowHalves;
        all[i] = low | (u64_at(fifth + i * 8) >> group & 0x0101010101010101U) << 4;
      }
      put_five_bits(all, words_);
    }
  }

  void centred(Bytes block, float offset) {
    put_half(scales_, block);
    put(biases_, -offset * f16_at(block));
  }
  void with_bias(Bytes block) {
    put_half(scales_, block);
    put_half(biases_, block + 2);
  }
  void grouped(Bytes block) {
    const float scale = f16_at(block), minimum = f16_at(block + 2);
    const GroupScales groups = group_scales(block + 4);
    for (int group = 0; group < 8; ++group) {
      put(scales_, scale * static_cast<float>(groups.scale[group]));
      put(biases_, -(minimum * static_cast<float>(groups.minimum[group])));
    }
  }
  void halves(Bytes quants, int bytes) {
    put_halves(quants, bytes, words_);
    words_ += bytes / 4;
  }
  void fives(Bytes fifth, Bytes quants) {
    put_five_bits(fifth, quants, words_);
    words_ += 5;
  }

  std::uint32_t* words_;
  Out<T> scales_, biases_;
};

void pack_mxfp4(Bytes block, std::size_t count, std::uint32_t* words, std::uint8_t* scales) {
  for (; count > 0; --count, block += 17, words += 4) {
    *scales++ = block[0];
    put_halves(block + 1, 16, words);
    for (int i = 0; i < 4; ++i) words[i] = without_negative_zeros(words[i]);
  }
}

void pack_nvfp4(Bytes block, std::size_t count, std::uint32_t* words, std::uint8_t* scales) {
  for (; count > 0; --count, block += 36) {
    for (int group = 0; group < 4; ++group, words += 2) {
      *scales++ = block[group] == kUe4m3Nan ? 0 : block[group] & 0x7f;
      put_halves(block + 4 + group * 8, 8, words);
      for (int i = 0; i < 2; ++i) words[i] = without_negative_zeros(words[i]);
    }
  }
}

// The largest magnitude of the f16 that blocks begin with, as bits.
std::uint32_t largest_scale(Bytes block, std::size_t count, std::uint32_t block_bytes) {
  std::uint32_t largest = 0;
  for (; count > 0; --count, block += block_bytes)
    largest = std::max<std::uint32_t>(largest, u16_at(block) & 0x7fffU);
  return largest;
}

// Whether scales are products of an f16 and other factors.
bool has_products(StoredType type) {
  return type == StoredType::kQ4_K || type == StoredType::kQ5_K;
}

std::size_t blocks_in(StoredType type, std::span<const std::byte> blocks) {
  const StoredTypeRow& row = row_of(type);
  if (!packed_form(type))
    throw ArgumentError(fmt::format("MLX has no form for elements of type {}", row.name));
  if (blocks.size() % row.block_bytes != 0) {
    throw ArgumentError(fmt::format("{} bytes of {} are no whole blocks", blocks.size(), row.name));
  }
  return blocks.size() / row.block_bytes;
}

}  // namespace

std::optional<PackedForm> packed_form(StoredType type) {
  switch (type) {
    case StoredType::kQ4_0:
    case StoredType::kQ4_1:
    case StoredType::kQ4_K:
      return PackedForm{"affine", 4, 32, true};
    case StoredType::kQ5_0:
    case StoredType::kQ5_1:
    case StoredType::kQ5_K:
      return PackedForm{"affine", 5, 32, true};
    case StoredType::kQ8_0:
      return PackedForm{"affine", 8, 32, true};
    case StoredType::kMXFP4:
      return PackedForm{"mxfp4", 4, 32, false};
    case StoredType::kNVFP4:
      return PackedForm{"nvfp4", 4, 16, false};
    default:
      return std::nullopt;
  }
}

std::optional<StoredType> packed_scale_type(StoredType type, std::span<const std::byte> blocks) {
  const std::size_t count = blocks_in(type, blocks);
  const auto* bytes = reinterpret_cast<Bytes>(blocks.data());
  const std::uint32_t block_bytes = row_of(type).block_bytes;
  // f16 holds the bias if the scale's exponent leaves room for that many more.
  const auto centred = [&](std::uint32_t doublings) -> std::optional<StoredType> {
    const std::uint32_t exponent = largest_scale(bytes, count, block_bytes) >> 10;
    if (exponent == 31) return std::nullopt;
    return exponent + doublings < 31 ? StoredType::kF16 : StoredType::kF32;
  };
  // Whether a block has a scale that MLX takes for something else.
  const auto has_foreign = [&](std::uint32_t scales) {
    bool found = false;
    for (std::size_t i = 0; i < count; ++i) {
      for (std::uint32_t k = 0; k < scales; ++k) found |= bytes[i * block_bytes + k] == 0xff;
    }
    return found;
  };
  switch (type) {
    case StoredType::kQ4_0:
      return centred(3);
    case StoredType::kQ5_0:
      return centred(4);
    case StoredType::kQ8_0:
      return centred(7);
    case StoredType::kQ4_1:
    case StoredType::kQ5_1:
      return StoredType::kF16;
    case StoredType::kMXFP4:
      return has_foreign(1) ? std::nullopt : std::optional(StoredType::kF8E8M0);
    case StoredType::kNVFP4:
      return has_foreign(4) ? std::nullopt : std::optional(StoredType::kF8E4M3);
    default:
      return StoredType::kF32;
  }
}

void pack_blocks(StoredType type, std::span<const std::byte> blocks, StoredType scale_type,
                 std::span<std::uint32_t> words, std::span<std::byte> scales,
                 std::span<std::byte> biases) {
  const std::size_t count = blocks_in(type, blocks);
  const PackedForm form = *packed_form(type);
  const std::size_t elements = count * row_of(type).per_block;
  const std::size_t scale_bytes = elements / form.group_size * row_of(scale_type).block_bytes;
  if (words.size() != elements / 32 * form.bits || scales.size() != scale_bytes ||
      biases.size() != (form.has_biases ? scale_bytes : 0)) {
    throw ArgumentError(fmt::format(
        "{} bytes of {} can't be packed into {} words with {} bytes of scales and {} of biases",
        blocks.size(), row_of(type).name, words.size(), scales.size(), biases.size()));
  }
  const auto* bytes = reinterpret_cast<Bytes>(blocks.data());
  if (type == StoredType::kMXFP4 && scale_type == StoredType::kF8E8M0) {
    pack_mxfp4(bytes, count, words.data(), reinterpret_cast<std::uint8_t*>(scales.data()));
  } else if (type == StoredType::kNVFP4 && scale_type == StoredType::kF8E4M3) {
    pack_nvfp4(bytes, count, words.data(), reinterpret_cast<std::uint8_t*>(scales.data()));
  } else if (form.has_biases && scale_type == StoredType::kF32) {
    AffinePacker<float>(words, scales, biases).pack(type, bytes, count);
  } else if (form.has_biases && scale_type == StoredType::kF16 && !has_products(type)) {
    AffinePacker<std::uint16_t>(words, scales, biases).pack(type, bytes, count);
  } else {
    throw ArgumentError(
        fmt::format("{} has no scales of type {}", row_of(type).name, row_of(scale_type).name));
  }
}

}  // namespace mlxnx::files
