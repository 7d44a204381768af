// How the weights of a quantized matrix come out of its words, for each kind of vectors anew.
//
// Words are read in chunks of 32 weights. An unpacker answers a chunk's weights in vectors: those
// of 4 bits the even ones first, since these are the lower halves of bytes; all others in their
// order.
#if defined(MLXNX_KERNELS_UNPACK) == defined(HWY_TARGET_TOGGLE)
#ifdef MLXNX_KERNELS_UNPACK
#undef MLXNX_KERNELS_UNPACK
#else
#define MLXNX_KERNELS_UNPACK
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/floats-inl.h"
#include "kernels/quantized.h"
#include "kernels/small_floats.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {
constexpr int kChunk = 32;
constexpr int kVectors = kChunk / kLanes;

// Bytes as integers of 32 bits.
HWY_INLINE hn::Vec<DI> LoadBytes(const std::uint8_t* bytes) {
  return hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<std::uint8_t, DI>(), bytes));
}

// Weights of 4 bits.
HWY_INLINE void Nibbles(const std::uint8_t* words, hn::Vec<DI> (&out)[kVectors]) {
  constexpr int kHalf = kVectors / 2;
  const auto mask = hn::Set(DI(), 15);
  MLXNX_UNROLL for (int i = 0; i < kHalf; ++i) {
    const auto bytes = LoadBytes(words + i * kLanes);
    out[i] = hn::And(bytes, mask);
    out[kHalf + i] = hn::ShiftRight<4>(bytes);
  }
}

// Weights of 2, 3, 5 or 6 bits, by which some lie in two bytes. Reads up to 16 bytes beyond the
// chunk.
#if HWY_TARGET == HWY_SCALAR
template <int kBits>
HWY_INLINE void Straddling(const std::uint8_t* words, hn::Vec<DI> (&out)[kVectors]) {
  for (int i = 0; i < kChunk; ++i) {
    const int first = i * kBits;
    const int pair = words[first / 8] | words[first / 8 + 1] << 8;
    out[i] = hn::Set(DI(), pair >> first % 8 & ((1 << kBits) - 1));
  }
}
#else
template <int kBits>
HWY_INLINE void Straddling(const std::uint8_t* words, hn::Vec<DI> (&out)[kVectors]) {
  constexpr int kStep = std::max(kLanes, 8);  // weights that begin with a byte
  using D16 = hn::FixedTag<std::uint16_t, kStep>;
  using D8 = hn::Repartition<std::uint8_t, D16>;
  struct Tables {
    std::uint8_t places[2 * kStep];
    std::uint16_t factors[kStep];
  };
  // The two bytes that each weight lies in, and what moves it to the upper of them.
  static constexpr Tables kTables = [] {
    Tables tables{};
    for (int i = 0; i < kStep; ++i) {
      const int first = i * kBits;
      tables.places[2 * i] = static_cast<std::uint8_t>(first / 8);
      tables.places[2 * i + 1] = static_cast<std::uint8_t>(first / 8 + 1);
      tables.factors[i] = static_cast<std::uint16_t>(1 << (8 - first % 8));
    }
    return tables;
  }();
  const auto places = hn::LoadU(D8(), kTables.places);
  const auto factors = hn::LoadU(D16(), kTables.factors);
  const auto mask = hn::Set(D16(), static_cast<std::uint16_t>((1 << kBits) - 1));
  MLXNX_UNROLL for (int i = 0; i < kChunk / kStep; ++i) {
    const auto bytes = hn::LoadDup128(D8(), words + i * kStep * kBits / 8);
    const auto pairs = hn::BitCast(D16(), hn::TableLookupBytes(bytes, places));
    const auto weights = hn::And(hn::ShiftRight<8>(hn::Mul(pairs, factors)), mask);
    if constexpr (kStep == kLanes) {
      out[i] = hn::PromoteTo(DI(), weights);
    } else {
      const hn::Half<D16> half;
      out[2 * i] = hn::PromoteTo(DI(), hn::LowerHalf(half, weights));
      out[2 * i + 1] = hn::PromoteTo(DI(), hn::UpperHalf(half, weights));
    }
  }
}
#endif

// Numbers of 4 bits as the floats that they are.
struct E2m1 {
#if HWY_MAX_BYTES == 64
  V table;
  HWY_INLINE E2m1() : table(hn::LoadU(DF(), kE2m1.data())) {}
  HWY_INLINE V operator()(hn::Vec<DI> codes) const {
    return hn::TableLookupLanes(table, hn::IndicesFromVec(DF(), codes));
  }
#elif HWY_MAX_BYTES == 32
  V table;  // without those below 0
  HWY_INLINE E2m1() : table(hn::LoadU(DF(), kE2m1.data())) {}
  HWY_INLINE V operator()(hn::Vec<DI> codes) const {
    const auto at = hn::And(codes, hn::Set(DI(), 7));
    const V sizes = hn::TableLookupLanes(table, hn::IndicesFromVec(DF(), at));
    const auto signs = hn::ShiftLeft<31>(hn::ShiftRight<3>(codes));
    return hn::Xor(sizes, hn::BitCast(DF(), signs));
  }
#else
  HWY_INLINE V operator()(hn::Vec<DI> codes) const {
    return hn::GatherIndex(DF(), kE2m1.data(), codes);
  }
#endif
};

// Numbers of 8 bits as the floats that they are.
HWY_INLINE V E4m3(const std::uint8_t* codes) {
#if HWY_MAX_BYTES >= 32
  // An f16 of the same digits has an exponent that is smaller by 8.
  const hn::Rebind<std::uint16_t, DF> d16;
  const hn::Rebind<std::int16_t, DF> signed16;
  const hn::Rebind<hwy::float16_t, DF> halves;
  const auto wide = hn::PromoteTo(d16, hn::LoadU(hn::Rebind<std::uint8_t, DF>(), codes));
  const auto size = hn::Set(d16, 0x7F);
  const auto is_nan = hn::VecFromMask(d16, hn::Eq(hn::And(wide, size), size));
  const auto moved = hn::ShiftRight<1>(hn::BitCast(signed16, hn::ShiftLeft<8>(wide)));
  const auto digits = hn::And(hn::BitCast(d16, moved), hn::Set(d16, 0xBF80));
  const auto half = hn::Or(digits, hn::And(is_nan, hn::Set(d16, 0x7C00)));
  return hn::Mul(hn::PromoteTo(DF(), hn::BitCast(halves, half)), hn::Set(DF(), 256.0F));
#else
  return hn::GatherIndex(DF(), kE4m3.data(), LoadBytes(codes));
#endif
}

// An unpacker has
//   kScales             scales that a step of its groups takes,
//   kOverread           whether it reads beyond chunks,
//   Group(scale, bias)  what is the same for a step's weights, and
//   unpack(group, words, out).
template <int kBits>
struct Affine {
  static constexpr int kWidth = kBits, kScales = 1;
  static constexpr bool kOverread = kBits != 4 && kBits != 8, kHasBias = true;

  struct Group {
    V scale, bias;
    Group() = default;
    HWY_INLINE Group(const float* s, const float* b)
        : scale(hn::Set(DF(), *s)), bias(hn::Set(DF(), *b)) {}
    HWY_INLINE V operator()(hn::Vec<DI> number) const {
      return hn::Add(hn::Mul(hn::ConvertTo(DF(), number), scale), bias);
    }
  };
  static HWY_INLINE void Unpack(const Group& group, const std::uint8_t* words, V (&out)[kVectors]) {
    hn::Vec<DI> numbers[kVectors];
    if constexpr (kBits == 8) {
      MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) numbers[i] = LoadBytes(words + i * kLanes);
    } else if constexpr (kBits == 4) {
      Nibbles(words, numbers);
    } else {
      Straddling<kBits>(words, numbers);
    }
    MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) out[i] = group(numbers[i]);
  }
};

#if HWY_MAX_BYTES == 64
// A group's 16 weights fit a vector.
template <>
struct Affine<4> {
  static constexpr int kWidth = 4, kScales = 1;
  static constexpr bool kOverread = false, kHasBias = true;

  struct Group {
    V weights;
    Group() = default;
    HWY_INLINE Group(const float* s, const float* b)
        : weights(hn::Add(hn::Mul(hn::Iota(DF(), 0), hn::Set(DF(), *s)), hn::Set(DF(), *b))) {}
  };
  static HWY_INLINE void Unpack(const Group& group, const std::uint8_t* words, V (&out)[kVectors]) {
    hn::Vec<DI> numbers[kVectors];
    Nibbles(words, numbers);
    MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) out[i] =
        hn::TableLookupLanes(group.weights, hn::IndicesFromVec(DF(), numbers[i]));
  }
};
#endif

struct Mxfp4 {
  static constexpr int kWidth = 4, kScales = 1;
  static constexpr bool kOverread = false, kHasBias = false;

  struct Group {
    V scale;
    Group() = default;
    HWY_INLINE Group(const float* s, const float*) : scale(hn::Set(DF(), *s)) {}
  };
  static HWY_INLINE void Unpack(const Group& group, const std::uint8_t* words, V (&out)[kVectors]) {
    hn::Vec<DI> numbers[kVectors];
    Nibbles(words, numbers);
    const E2m1 floats;
    MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) out[i] =
        hn::Mul(floats(numbers[i]), group.scale);
  }
};

// Two groups in a chunk, one after the other in its bytes.
struct Nvfp4 {
  static constexpr int kWidth = 4, kScales = 2;
  static constexpr bool kOverread = false, kHasBias = false;

  struct Group {
    V scale[2];
    Group() = default;
    HWY_INLINE Group(const float* s, const float*) {
      scale[0] = hn::Set(DF(), s[0]);
      scale[1] = hn::Set(DF(), s[1]);
    }
  };
  static HWY_INLINE void Unpack(const Group& group, const std::uint8_t* words, V (&out)[kVectors]) {
    hn::Vec<DI> numbers[kVectors];
    Nibbles(words, numbers);
    const E2m1 floats;
    MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) {
#if HWY_MAX_BYTES == 64
      const V scale = hn::ConcatLowerLower(DF(), group.scale[1], group.scale[0]);
#else
      const V scale = group.scale[i * kLanes % 16 / 8];
#endif
      out[i] = hn::Mul(floats(numbers[i]), scale);
    }
  }
};

struct Mxfp8 {
  static constexpr int kWidth = 8, kScales = 1;
  static constexpr bool kOverread = false, kHasBias = false;

  using Group = Mxfp4::Group;
  static HWY_INLINE void Unpack(const Group& group, const std::uint8_t* words, V (&out)[kVectors]) {
    MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) out[i] =
        hn::Mul(E4m3(words + i * kLanes), group.scale);
  }
};

// Calls f with the unpacker for a matrix.
template <typename F>
HWY_INLINE void WithUnpacker(const QuantizedMatrix& w, const F& f) {
  switch (w.packing) {
    case Packing::kMxfp4:
      return f.template Run<Mxfp4>();
    case Packing::kMxfp8:
      return f.template Run<Mxfp8>();
    case Packing::kNvfp4:
      return f.template Run<Nvfp4>();
    case Packing::kAffine:
      break;
  }
  switch (w.bits) {
    case 2:
      return f.template Run<Affine<2>>();
    case 3:
      return f.template Run<Affine<3>>();
    case 4:
      return f.template Run<Affine<4>>();
    case 5:
      return f.template Run<Affine<5>>();
    case 6:
      return f.template Run<Affine<6>>();
    default:
      return f.template Run<Affine<8>>();
  }
}

// Scales of a row that are at hand as f32 at a time.
constexpr int kTile = 64;

// The next scales, or biases, of kRows rows, where they are or in here; those of the rows are
// `step` apart. Behind those of bytes stands a zero, by which the half of a chunk counts that is
// none.
template <int kRows>
struct ScaleTile {
  float numbers[kRows * (kTile + 1)];
  const float* first = nullptr;
  std::int64_t step = 0;

  HWY_INLINE void ReadFloats(Float type, const void* from, std::int64_t at, std::int64_t groups,
                             int count) {
    if (type == Float::kF32) {
      first = static_cast<const float*>(from) + at;
      step = groups;
      return;
    }
    const auto* const halves = static_cast<const std::uint16_t*>(from) + at;
    first = numbers;
    step = count;
    if (count == groups) return Widen(type, halves, kRows * count, numbers);
    for (int r = 0; r < kRows; ++r) Widen(type, halves + r * groups, count, numbers + r * count);
  }
  HWY_INLINE void ReadBytes(const QuantizedMatrix& w, std::int64_t at, int count) {
    const auto* bytes = static_cast<const std::uint8_t*>(w.scales) + at;
    const bool is_nvfp4 = w.packing == Packing::kNvfp4;
    first = numbers;
    step = count + 1;
    for (int r = 0; r < kRows; ++r, bytes += w.groups()) {
      float* const to = numbers + r * step;
      for (int i = 0; i < count; ++i)
        to[i] = is_nvfp4 ? kE4m3[bytes[i]] * w.scale_factor : kE8m0[bytes[i]];
      to[count] = 0;
    }
  }
};

// The words of a chunk, or a copy of them where an unpacker would read what is not there.
template <typename Unpacker>
struct ChunkReader {
  static constexpr int kBytes = kChunk * Unpacker::kWidth / 8;
  static constexpr bool kIsGuarded = Unpacker::kOverread || Unpacker::kScales == 2;
  const std::uint8_t* end;
  alignas(64) std::uint8_t copy[kIsGuarded ? kBytes + 16 : 1];

  HWY_INLINE const std::uint8_t* Read(const std::uint8_t* words) {
    if constexpr (kIsGuarded) {
      const std::ptrdiff_t left = end - words;
      if (left < kBytes + (Unpacker::kOverread ? 16 : 0)) {
        std::memset(copy, 0, sizeof copy);
        std::memcpy(copy, words, static_cast<std::size_t>(std::min<std::ptrdiff_t>(left, kBytes)));
        return copy;
      }
    }
    return words;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#endif  // once for each kind of vectors
