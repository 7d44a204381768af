#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "files/block_parts.h"
#include "files/blocks.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

// All products are exact: an f16 times integers of not more than 13 bits in all. So it does not
// matter whether a compiler makes one rounding of a product and a sum.

using Bytes = BlockBytes;

inline float as_float(int integer) { return static_cast<float>(integer); }

void decode_q4_0(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 18, out += 32) {
    const float scale = f16_at(block);
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * as_float((block[2 + i] & 15) - 8);
      out[16 + i] = scale * as_float((block[2 + i] >> 4) - 8);
    }
  }
}

void decode_q4_1(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 20, out += 32) {
    const float scale = f16_at(block), bias = f16_at(block + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * as_float(block[4 + i] & 15) + bias;
      out[16 + i] = scale * as_float(block[4 + i] >> 4) + bias;
    }
  }
}

// The fifth bits of 32 elements, each in a byte of its own at its place.
inline std::array<std::uint8_t, 32> fifth_bits(Bytes packed) {
  const std::uint32_t bits = u32_at(packed);
  std::array<std::uint8_t, 32> fifth;
  for (int i = 0; i < 32; ++i) fifth[i] = static_cast<std::uint8_t>((bits >> i & 1) << 4);
  return fifth;
}

void decode_q5_0(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 22, out += 32) {
    const float scale = f16_at(block);
    const auto fifth = fifth_bits(block + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * as_float(((block[6 + i] & 15) | fifth[i]) - 16);
      out[16 + i] = scale * as_float(((block[6 + i] >> 4) | fifth[16 + i]) - 16);
    }
  }
}

void decode_q5_1(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 24, out += 32) {
    const float scale = f16_at(block), bias = f16_at(block + 2);
    const auto fifth = fifth_bits(block + 4);
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * as_float((block[8 + i] & 15) | fifth[i]) + bias;
      out[16 + i] = scale * as_float((block[8 + i] >> 4) | fifth[16 + i]) + bias;
    }
  }
}

void decode_q8_0(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 34, out += 32) {
    const float scale = f16_at(block);
    for (int i = 0; i < 32; ++i) out[i] = scale * as_float(static_cast<std::int8_t>(block[2 + i]));
  }
}

// Q2_K, Q3_K: each 32 bytes hold 128 elements, two bits of each 32.

void decode_q2_k(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 84, out += 256) {
    const float scale = f16_at(block + 80), minimum = f16_at(block + 82);
    for (int group = 0; group < 16; ++group) {
      const float step = scale * as_float(block[group] & 15);
      const float least = minimum * as_float(block[group] >> 4);
      const Bytes quants = block + 16 + group / 8 * 32 + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i)
        out[group * 16 + i] = step * as_float(quants[i] >> shift & 3) - least;
    }
  }
}

void decode_q3_k(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 110, out += 256) {
    const Bytes high_bits = block, scales = block + 96;
    const float scale = f16_at(block + 108);
    for (int group = 0; group < 16; ++group) {
      const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
      const int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
      const float step = scale * as_float((low | high << 4) - 32);
      const Bytes quants = block + 32 + group / 8 * 32 + group % 2 * 16;
      const Bytes bits = high_bits + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i) {
        const int high_bit = bits[i] >> (group / 2) & 1;
        out[group * 16 + i] = step * as_float((quants[i] >> shift & 3) + high_bit * 4 - 4);
      }
    }
  }
}

void decode_q4_k(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 144) {
    const float scale = f16_at(block), minimum = f16_at(block + 2);
    const GroupScales groups = group_scales(block + 4);
    for (int pair = 0; pair < 8; pair += 2, out += 64) {
      const Bytes quants = block + 16 + pair * 16;
      const float step = scale * as_float(groups.scale[pair]);
      const float least = minimum * as_float(groups.minimum[pair]);
      const float next_step = scale * as_float(groups.scale[pair + 1]);
      const float next_least = minimum * as_float(groups.minimum[pair + 1]);
      for (int i = 0; i < 32; ++i) {
        out[i] = step * as_float(quants[i] & 15) - least;
        out[32 + i] = next_step * as_float(quants[i] >> 4) - next_least;
      }
    }
  }
}

void decode_q5_k(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 176) {
    const float scale = f16_at(block), minimum = f16_at(block + 2);
    const GroupScales groups = group_scales(block + 4);
    const Bytes fifth = block + 16;
    for (int group = 0; group < 8; ++group, out += 32) {
      const Bytes quants = block + 48 + group / 2 * 32;
      const int shift = group % 2 * 4;
      const float step = scale * as_float(groups.scale[group]);
      const float least = minimum * as_float(groups.minimum[group]);
      for (int i = 0; i < 32; ++i) {
        const int quant = (quants[i] >> shift & 15) | (fifth[i] >> group & 1) << 4;
        out[i] = step * as_float(quant) - least;
      }
    }
  }
}

void decode_q6_k(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 210) {
    const float scale = f16_at(block + 208);
    for (int group = 0; group < 16; ++group, out += 16) {
      const int half = group / 8, part = group % 8 / 2, side = group % 2 * 16;
      const Bytes low = block + half * 64 + part % 2 * 32 + side;
      const Bytes high = block + 128 + half * 32 + side;
      const float step = scale * as_float(static_cast<std::int8_t>(block[192 + group]));
      for (int i = 0; i < 16; ++i) {
        const int quant = (low[i] >> (part / 2 * 4) & 15) | (high[i] >> (part * 2) & 3) << 4;
        out[i] = step * as_float(quant - 32);
      }
    }
  }
}

// Types whose elements are numbers of a table.

constexpr std::array<float, 16> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
// Twice the floats of 4 bits (e2m1) of the Microscaling formats, but without a negative zero.
constexpr std::array<float, 16> kFp4Twice = {0, 1,  2,  3,  4,  6,  8,  12,
                                             0, -1, -2, -3, -4, -6, -8, -12};

// `bytes` bytes hold first the elements of their low halves, then those of the others.
inline void decode_halves(Bytes quants, int bytes, const std::array<float, 16>& table, float scale,
                          float* out) {
  std::array<float, 16> scaled;
  for (int i = 0; i < 16; ++i) scaled[i] = scale * table[i];
  for (int i = 0; i < bytes; ++i) {
    out[i] = scaled[quants[i] & 15];
    out[bytes + i] = scaled[quants[i] >> 4];
  }
}

void decode_iq4_nl(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 18, out += 32)
    decode_halves(block + 2, 16, kIq4, f16_at(block), out);
}

void decode_iq4_xs(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 136) {
    const float scale = f16_at(block);
    const int high_bits = u16_at(block + 2);
    for (int group = 0; group < 8; ++group, out += 32) {
      const int low = block[4 + group / 2] >> (group % 2 * 4) & 15;
      const int high = high_bits >> (group * 2) & 3;
      const float step = scale * as_float((low | high << 4) - 32);
      decode_halves(block + 8 + group * 16, 16, kIq4, step, out);
    }
  }
}

// Half of the power of two that e8m0 means: 0 and 1 are subnormal floats.
inline float half_of_e8m0(std::uint8_t exponent) {
  return std::bit_cast<float>(exponent < 2 ? 0x00200000U << exponent
                                           : static_cast<std::uint32_t>(exponent - 1) << 23);
}

void decode_mxfp4(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 17, out += 32)
    decode_halves(block + 1, 16, kFp4Twice, half_of_e8m0(block[0]), out);
}

// Half of what ggml takes e4m3 for.
inline float half_of_ue4m3(std::uint8_t scale) {
  if (scale == kUe4m3Nan) return 0;
  const int exponent = scale >> 3 & 15, mantissa = scale & 7;
  if (exponent == 0) return std::ldexp(as_float(mantissa), -10);
  return std::ldexp(as_float(8 + mantissa), exponent - 11);
}

void decode_nvfp4(Bytes block, std::size_t count, float* out) {
  for (; count > 0; --count, block += 36) {
    for (int group = 0; group < 4; ++group, out += 16)
      decode_halves(block + 4 + group * 8, 8, kFp4Twice, half_of_ue4m3(block[group]), out);
  }
}

using Decode = void (*)(Bytes, std::size_t, float*);

Decode decoder(StoredType type) {
  switch (type) {
    case StoredType::kQ4_0:
      return decode_q4_0;
    case StoredType::kQ4_1:
      return decode_q4_1;
    case StoredType::kQ5_0:
      return decode_q5_0;
    case StoredType::kQ5_1:
      return decode_q5_1;
    case StoredType::kQ8_0:
      return decode_q8_0;
    case StoredType::kQ2_K:
      return decode_q2_k;
    case StoredType::kQ3_K:
      return decode_q3_k;
    case StoredType::kQ4_K:
      return decode_q4_k;
    case StoredType::kQ5_K:
      return decode_q5_k;
    case StoredType::kQ6_K:
      return decode_q6_k;
    case StoredType::kIQ4_NL:
      return decode_iq4_nl;
    case StoredType::kIQ4_XS:
      return decode_iq4_xs;
    case StoredType::kMXFP4:
      return decode_mxfp4;
    case StoredType::kNVFP4:
      return decode_nvfp4;
    default:
      throw ArgumentError(fmt::format("elements of type {} lie in no blocks", row_of(type).name));
  }
}

}  // namespace

void decode_blocks(StoredType type, std::span<const std::byte> blocks, std::span<float> out) {
  const Decode decode = decoder(type);
  const StoredTypeRow& row = row_of(type);
  const std::size_t count = blocks.size() / row.block_bytes;
  if (blocks.size() % row.block_bytes != 0 || out.size() != count * row.per_block) {
    throw ArgumentError(fmt::format("{} bytes of {} can't be decoded to {} elements", blocks.size(),
                                    row.name, out.size()));
  }
  decode(reinterpret_cast<Bytes>(blocks.data()), count, out.data());
}

}  // namespace mlxnx::files
