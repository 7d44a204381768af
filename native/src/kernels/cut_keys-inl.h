// Quicksort of integers of 32 bits, in vectors that can be cut by masks; other kinds of vectors
// have none. Few keys are put in order in registers.
#ifndef MLXNX_KERNELS_KEY_PART
#define MLXNX_KERNELS_KEY_PART

#include <cstdint>

namespace mlxnx::kernels {
namespace {

// Up to so many keys are put in order in registers.
constexpr std::int64_t kFewKeys = 256;

// Of a part that is to be cut: its keys, as much memory beside them, and where they belong.
struct KeyPart {
  std::int32_t *keys, *scratch, *out;
  std::int64_t count;
};

}  // namespace
}  // namespace mlxnx::kernels

#endif

#if defined(MLXNX_KERNELS_CUT_KEYS) == defined(HWY_TARGET_TOGGLE)
#ifdef MLXNX_KERNELS_CUT_KEYS
#undef MLXNX_KERNELS_CUT_KEYS
#else
#define MLXNX_KERNELS_CUT_KEYS
#endif

#include <algorithm>
#include <cstring>
#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The loop that follows becomes as many copies as it has steps.
#undef MLXNX_UNROLL
#define MLXNX_UNROLL _Pragma("GCC unroll 32")

#if HWY_TARGET == HWY_AVX3

constexpr bool kCutsKeys = true;

using DK = hn::ScalableTag<std::int32_t>;
using VK = hn::Vec<DK>;
using MK = hn::Mask<DK>;
constexpr std::int64_t kKeys = 16;
constexpr std::int32_t kLastKey = std::numeric_limits<std::int32_t>::max();

// Lanes of a mask with bit `i` of `bits` for lane `i`.
HWY_INLINE MK MaskOf(std::uint16_t bits) {
  std::uint8_t bytes[8] = {};
  std::memcpy(bytes, &bits, sizeof bits);
  return hn::LoadMaskBits(DK(), bytes);
}

// Pairs of lanes, of which those of `upper` get the larger.
HWY_INLINE VK Exchange(VK v, VK others, std::uint16_t upper) {
  return hn::IfThenElse(MaskOf(upper), hn::Max(v, others), hn::Min(v, others));
}

// In order, where the lanes rise and then fall, or the other way round.
HWY_INLINE VK MergeLanes(VK v) {
  v = Exchange(v, hn::ConcatLowerUpper(DK(), v, v), 0xFF00);
  v = Exchange(v, hn::SwapAdjacentBlocks(v), 0xF0F0);
  v = Exchange(v, hn::Shuffle1032(v), 0xCCCC);
  return Exchange(v, hn::Reverse2(DK(), v), 0xAAAA);
}

HWY_INLINE VK SortLanes(VK v) {
  constexpr DK d;
  v = Exchange(v, hn::Reverse2(d, v), 0xAAAA);
  v = Exchange(v, hn::Reverse4(d, v), 0xCCCC);
  v = Exchange(v, hn::Reverse2(d, v), 0xAAAA);
  v = Exchange(v, hn::Reverse8(d, v), 0xF0F0);
  v = Exchange(v, hn::Shuffle1032(v), 0xCCCC);
  v = Exchange(v, hn::Reverse2(d, v), 0xAAAA);
  v = Exchange(v, hn::Reverse(d, v), 0xFF00);
  v = Exchange(v, hn::SwapAdjacentBlocks(v), 0xF0F0);
  v = Exchange(v, hn::Shuffle1032(v), 0xCCCC);
  return Exchange(v, hn::Reverse2(d, v), 0xAAAA);
}

// Two runs of kRun / 2 vectors each become one, whose first kUsed vectors hold keys. Nothing is
// computed of the others.
template <int kRun, int kUsed>
HWY_INLINE void MergeRuns(VK* v) {
  constexpr DK d;
  constexpr int kHalf = kRun / 2;
  if constexpr (kUsed > kHalf) {
    VK turned[kHalf];
    bool is_used[kRun];
    MLXNX_UNROLL for (int i = kRun - kUsed; i < kHalf; ++i) turned[i] =
        hn::Reverse(d, v[kRun - 1 - i]);
    MLXNX_UNROLL for (int i = 0; i < kHalf; ++i) {
      is_used[i] = true;
      is_used[kHalf + i] = i >= kRun - kUsed;
      if (!is_used[kHalf + i]) continue;
      v[kHalf + i] = hn::Max(v[i], turned[i]);
      v[i] = hn::Min(v[i], turned[i]);
    }
    MLXNX_UNROLL for (int distance = kHalf / 2; distance > 0; distance /= 2) {
      MLXNX_UNROLL for (int i = 0; i < kRun; ++i) {
        const int j = i + distance;
        if ((i & distance) != 0 || !is_used[j]) continue;
        const VK other = v[j];
        if (is_used[i]) {
          v[j] = hn::Max(v[i], other);
          v[i] = hn::Min(v[i], other);
        } else {
          v[i] = other;
          is_used[i] = true;
          is_used[j] = false;
        }
      }
    }
    MLXNX_UNROLL for (int i = 0; i < kUsed; ++i) v[i] = MergeLanes(v[i]);
  }
}

template <int kVectors, int kRun, int kFirst = 0>
HWY_INLINE void MergePairs(VK* v) {
  if constexpr (kFirst < kVectors) {
    MergeRuns<kRun, (kVectors - kFirst < kRun ? kVectors - kFirst : kRun)>(v + kFirst);
    MergePairs<kVectors, kRun, kFirst + kRun>(v);
  }
}

template <int kVectors, int kRun = 2>
HWY_INLINE void MergeAll(VK* v) {
  MergePairs<kVectors, kRun>(v);
  if constexpr (kRun < kVectors) MergeAll<kVectors, 2 * kRun>(v);
}

// Up to kVectors vectors of keys.
template <int kVectors>
HWY_NOINLINE void SortFew(const std::int32_t* keys, std::int64_t count, std::int32_t* out) {
  constexpr DK d;
  VK v[16];
  const VK last = hn::Set(d, kLastKey);
  MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) {
    const std::int64_t left = count - i * kKeys;
    if (left >= kKeys) {
      v[i] = SortLanes(hn::LoadU(d, keys + i * kKeys));
    } else if (left > 0) {
      const MK is_there = hn::FirstN(d, static_cast<std::size_t>(left));
      v[i] =
          SortLanes(hn::IfThenElse(is_there, hn::MaskedLoad(is_there, d, keys + i * kKeys), last));
    } else {
      v[i] = last;
    }
  }
  MergeAll<kVectors>(v);
  MLXNX_UNROLL for (int i = 0; i < kVectors; ++i) {
    const std::int64_t left = count - i * kKeys;
    if (left >= kKeys) {
      hn::StoreU(v[i], d, out + i * kKeys);
    } else if (left > 0) {
      hn::BlendedStore(v[i], hn::FirstN(d, static_cast<std::size_t>(left)), d, out + i * kKeys);
    }
  }
}

HWY_INLINE void SortFewKeys(const std::int32_t* keys, std::int64_t count, std::int32_t* out) {
  if (count <= kKeys) return SortFew<1>(keys, count, out);
  if (count <= 2 * kKeys) return SortFew<2>(keys, count, out);
  if (count <= 4 * kKeys) return SortFew<4>(keys, count, out);
  if (count <= 8 * kKeys) return SortFew<8>(keys, count, out);
  if (count <= 12 * kKeys) return SortFew<12>(keys, count, out);
  SortFew<16>(keys, count, out);
}

// Moves keys that are at most `bound` (kIncludes), or less than it, to `low`, and the others to the
// front of `keys`. `low` has room for all. Returns: how many are low.
template <bool kIncludes>
std::int64_t Cut(std::int32_t* keys, std::int64_t count, std::int32_t bound, std::int32_t* low) {
  constexpr DK d;
  const VK bounds = hn::Set(d, bound);
  std::int64_t lows = 0, highs = 0, i = 0;
  // A whole vector is stored for what is left of it: what is behind that is overwritten later, and
  // never beyond what was read.
  const auto cut = [&](VK v) HWY_ATTR {
    const MK is_low = kIncludes ? hn::Not(hn::Gt(v, bounds)) : hn::Lt(v, bounds);
    hn::StoreU(hn::Compress(v, is_low), d, low + lows);
    hn::StoreU(hn::Compress(v, hn::Not(is_low)), d, keys + highs);
    const auto found = static_cast<std::int64_t>(hn::CountTrue(d, is_low));
    lows += found;
    highs += kKeys - found;
  };
  for (; i + 4 * kKeys <= count; i += 4 * kKeys) {
    VK v[4];
    MLXNX_UNROLL for (int j = 0; j < 4; ++j) v[j] = hn::LoadU(d, keys + i + j * kKeys);
    MLXNX_UNROLL for (int j = 0; j < 4; ++j) cut(v[j]);
  }
  for (; i + kKeys <= count; i += kKeys) cut(hn::LoadU(d, keys + i));
  for (; i < count; ++i) {
    const std::int32_t key = keys[i];
    const bool is_low = kIncludes ? key <= bound : key < bound;
    if (is_low) {
      low[lows++] = key;
    } else {
      keys[highs++] = key;
    }
  }
  return lows;
}

// Near the middle of the keys.
HWY_INLINE std::int32_t Middle(const std::int32_t* keys, std::int64_t count) {
  constexpr DK d;
  const std::int64_t vectors = count < 4096 ? 4 : 16, gap = (count - kKeys) / (2 * vectors);
  std::int32_t sample[16 * kKeys];
  for (std::int64_t i = 0; i < vectors; ++i)
    hn::StoreU(hn::LoadU(d, keys + (2 * i + 1) * gap), d, sample + i * kKeys);
  SortFewKeys(sample, vectors * kKeys, sample);
  return sample[vectors * kKeys / 2];
}

// What is left to do of a part after one cut: two parts, or one or none.
int CutInTwo(const KeyPart& part, KeyPart* parts) {
  const std::int32_t bound = Middle(part.keys, part.count);
  std::int64_t lows = Cut<true>(part.keys, part.count, bound, part.scratch);
  std::int32_t* low = part.scratch;
  std::int32_t* room = part.keys;
  std::int64_t highs = part.count - lows;
  int count = 0;
  if (highs == 0) {
    // The bound is the largest: those equal to it are where they belong at once.
    lows = Cut<false>(part.scratch, part.count, bound, part.keys);
    low = part.keys;
    room = part.scratch;
    std::fill_n(part.out + lows, part.count - lows, bound);
  } else {
    parts[count++] = {part.keys, part.scratch + lows, part.out + lows, highs};
    room = part.keys + highs;
  }
  if (lows > 0) parts[count++] = {low, room, part.out, lows};
  return count;
}

void SortPart(KeyPart part, int levels) {
  while (part.count > kFewKeys) {
    if (levels-- == 0) {
      std::sort(part.keys, part.keys + part.count);
      std::copy_n(part.keys, part.count, part.out);
      return;
    }
    KeyPart parts[2];
    const int count = CutInTwo(part, parts);
    if (count == 0) return;
    if (count == 2) SortPart(parts[1], levels);
    part = parts[0];
  }
  SortFewKeys(part.keys, part.count, part.out);
}

#else

constexpr bool kCutsKeys = false;
int CutInTwo(const KeyPart&, KeyPart*) { return 0; }
void SortPart(KeyPart, int) {}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#endif  // once for each kind of vectors
