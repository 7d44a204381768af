#include "kernels/order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/order.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "hwy/highway.h"
#include "kernels/cut_keys-inl.h"
#include "kernels/floats.h"

#ifndef MLXNX_KERNELS_ORDER_ONCE
#define MLXNX_KERNELS_ORDER_ONCE
namespace mlxnx::kernels {
namespace {

// What the bits of an element mean.
enum class Scale : std::uint8_t { kUnsigned, kSigned, kFloat, kBrain };

// Bits of a float but for its sign, from which on it is no number.
template <typename T, Scale kScale>
constexpr T infinity() {
  if constexpr (sizeof(T) == 8) return T{0x7FF} << 52;
  if constexpr (sizeof(T) == 4) return T{0xFF} << 23;
  return kScale == Scale::kBrain ? T{0x7F80} : T{0x7C00};
}

template <Scale kScale>
constexpr bool kIsFloat = kScale == Scale::kFloat || kScale == Scale::kBrain;

// Elements as signed integers in their order. Zeros of both signs are one if kJoinsZeros, else the
// negative one is less.
template <typename T, Scale kScale, bool kJoinsZeros>
constexpr T key_of(T bits) {
  constexpr T kMost = std::numeric_limits<T>::max(), kLeast = std::numeric_limits<T>::min();
  if constexpr (kScale == Scale::kUnsigned) return static_cast<T>(bits ^ kLeast);
  if constexpr (kIsFloat<kScale>) {
    const T size = static_cast<T>(bits & kMost);
    const T turned = bits < 0 ? static_cast<T>(kJoinsZeros ? -size : ~size) : bits;
    return size > infinity<T, kScale>() ? kMost : turned;
  }
  return bits;
}

template <typename T, Scale kScale>
constexpr T from_key(T key) {
  constexpr T kMost = std::numeric_limits<T>::max(), kLeast = std::numeric_limits<T>::min();
  if constexpr (kScale == Scale::kUnsigned) return static_cast<T>(key ^ kLeast);
  if constexpr (kIsFloat<kScale>) {
    constexpr T kNan = static_cast<T>(infinity<T, kScale>() | (infinity<T, kScale>() >> 1));
    return key == kMost ? kNan : static_cast<T>(key < 0 ? key ^ kMost : key);
  }
  return key;
}

// What f<the integer of a type's width, its scale>() answers.
template <typename F>
auto with_scale(Type type, const F& f) {
  switch (type) {
    case Type::kBool:
    case Type::kU8:
      return f.template operator()<std::int8_t, Scale::kUnsigned>();
    case Type::kU16:
      return f.template operator()<std::int16_t, Scale::kUnsigned>();
    case Type::kU32:
      return f.template operator()<std::int32_t, Scale::kUnsigned>();
    case Type::kU64:
      return f.template operator()<std::int64_t, Scale::kUnsigned>();
    case Type::kS8:
      return f.template operator()<std::int8_t, Scale::kSigned>();
    case Type::kS16:
      return f.template operator()<std::int16_t, Scale::kSigned>();
    case Type::kS32:
      return f.template operator()<std::int32_t, Scale::kSigned>();
    case Type::kS64:
      return f.template operator()<std::int64_t, Scale::kSigned>();
    case Type::kF16:
      return f.template operator()<std::int16_t, Scale::kFloat>();
    case Type::kBf16:
      return f.template operator()<std::int16_t, Scale::kBrain>();
    case Type::kF64:
      return f.template operator()<std::int64_t, Scale::kFloat>();
    default:
      return f.template operator()<std::int32_t, Scale::kFloat>();
  }
}

// Which zeros were seen.
struct Zeros {
  bool positive = false, negative = false;
  bool are_both() const { return positive && negative; }
};

// Numbers that are held against a bound at a time.
constexpr std::int64_t kBlock = 256;

}  // namespace
}  // namespace mlxnx::kernels
#endif  // once

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

bool CutsKeys() { return kCutsKeys; }

template <typename T, Scale kScale>
Zeros ToKeys(const T* in, std::int64_t count, T flip, T* keys) {
  T positive = 0, negative = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const T bits = in[i];
    if constexpr (kIsFloat<kScale>) {
      positive |= static_cast<T>(bits == 0 ? 1 : 0);
      negative |= static_cast<T>(bits == std::numeric_limits<T>::min() ? 1 : 0);
    }
    keys[i] = static_cast<T>(key_of<T, kScale, false>(bits) ^ flip);
  }
  return {positive != 0, negative != 0};
}

template <typename T, Scale kScale>
void FromKeys(const T* keys, std::int64_t count, T flip, T* out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = from_key<T, kScale>(static_cast<T>(keys[i] ^ flip));
}

template <typename T, Scale kScale>
std::int64_t FirstBeyond(const T* x, std::int64_t from, std::int64_t to, T flip, T bound) {
  for (; from + kBlock <= to; from += kBlock) {
    T any = 0;
    for (std::int64_t i = from; i < from + kBlock; ++i) {
      const T key = static_cast<T>(key_of<T, kScale, true>(x[i]) ^ flip);
      any |= static_cast<T>(key > bound ? 1 : 0);
    }
    if (any != 0) break;
  }
  return from;
}

// Keys of a run whose elements are neighbours, which tell zeros apart. `flip` is -1 for the other
// direction, else 0.
Zeros KeysOf(Type type, const void* in, std::int64_t count, std::int64_t flip, void* keys) {
  return with_scale(type, [&]<typename T, Scale kScale>() {
    return ToKeys<T, kScale>(static_cast<const T*>(in), count, static_cast<T>(flip),
                             static_cast<T*>(keys));
  });
}

void ElementsOf(Type type, const void* keys, std::int64_t count, std::int64_t flip, void* out) {
  with_scale(type, [&]<typename T, Scale kScale>() {
    FromKeys<T, kScale>(static_cast<const T*>(keys), count, static_cast<T>(flip),
                        static_cast<T*>(out));
  });
}

// The beginning of the first of the blocks of kBlock elements, from `from` on, that has a key
// beyond `bound`, or where whole blocks end.
std::int64_t BlockBeyond(Type type, const void* in, std::int64_t from, std::int64_t to,
                         std::int64_t flip, std::int64_t bound) {
  return with_scale(type, [&]<typename T, Scale kScale>() {
    return FirstBeyond<T, kScale>(static_cast<const T*>(in), from, to, static_cast<T>(flip),
                                  static_cast<T>(bound));
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(CutsKeys);
HWY_EXPORT(CutInTwo);
HWY_EXPORT(SortPart);
HWY_EXPORT(KeysOf);
HWY_EXPORT(ElementsOf);
HWY_EXPORT(BlockBeyond);

namespace {

bool cuts_keys() { return HWY_DYNAMIC_DISPATCH(CutsKeys)(); }

int levels_of(std::int64_t count) { return 2 * std::bit_width(static_cast<std::uint64_t>(count)); }

std::int64_t flip_of(const Runs& runs) { return runs.descending ? -1 : 0; }

// Entries in the order of some bytes, which `byte_of(entry, i)` tells from the lowest on, those
// with equal bytes as before. Returns: where they are, in `a` or in `b`.
template <int kBytes, typename Entry, typename ByteOf>
Entry* in_order_of_bytes(Entry* a, Entry* b, std::int64_t count, const ByteOf& byte_of) {
  std::array<std::array<std::uint32_t, 256>, kBytes> counts{};
  for (std::int64_t i = 0; i < count; ++i) {
    for (int byte = 0; byte < kBytes; ++byte) ++counts[byte][byte_of(a[i], byte)];
  }
  for (int byte = 0; byte < kBytes; ++byte) {
    auto& places = counts[byte];
    if (places[byte_of(a[0], byte)] == count) continue;
    std::uint32_t start = 0;
    for (std::uint32_t& place : places) start += std::exchange(place, start);
    for (std::int64_t i = 0; i < count; ++i) {
      const Entry entry = a[i];
      b[places[byte_of(entry, byte)]++] = entry;
    }
    std::swap(a, b);
  }
  return a;
}

// From so many entries on it is quicker to count bytes than to compare.
template <int kBytes>
constexpr std::int64_t kManyEntries = 64 * kBytes;

// Signed keys in order. Returns: where they are.
template <typename T>
T* sort_keys(T* keys, T* scratch, std::int64_t count) {
  constexpr int kBytes = sizeof(T);
  if constexpr (kBytes == 4) {
    if (cuts_keys()) {
      // Keys are cut from one place to the other, and end in a third.
      T* const out = scratch + count;
      HWY_DYNAMIC_DISPATCH(SortPart)({keys, scratch, out, count}, levels_of(count));
      return out;
    }
  }
  if (count < kManyEntries<kBytes>) {
    std::sort(keys, keys + count);
    return keys;
  }
  using Unsigned = std::make_unsigned_t<T>;
  return in_order_of_bytes<kBytes>(keys, scratch, count, [](T key, int byte) {
    const auto bits = static_cast<Unsigned>(key ^ std::numeric_limits<T>::min());
    return static_cast<std::uint8_t>(bits >> (8 * byte));
  });
}

// Zeros of both signs are equal, and equals keep their order.
template <typename T>
void restore_zeros(const T* in, std::int64_t count, bool descending, T* out) {
  constexpr T kSize = std::numeric_limits<T>::max();
  const auto is_before = [&](T x) { return (x & kSize) != 0 && (x < 0) != descending; };
  T* at = std::partition_point(out, out + count, is_before);
  for (std::int64_t i = 0; i < count; ++i) {
    if ((in[i] & kSize) == 0) *at++ = in[i];
  }
}

// An entry's position, behind a key that orders it.
struct Entry64 {
  std::uint64_t key;
  std::uint32_t position;
};

template <typename T, Scale kScale>
void positions_in_order(const T* in, std::int64_t count, T flip, void* memory, std::uint32_t* out) {
  using Unsigned = std::make_unsigned_t<T>;
  constexpr int kBytes = sizeof(T);
  const auto ordered = [&](std::int64_t i) {
    const T key = static_cast<T>(key_of<T, kScale, true>(in[i]) ^ flip);
    return static_cast<Unsigned>(key ^ std::numeric_limits<T>::min());
  };
  const auto order = [&](auto* entries, const auto& make, const auto& key, const auto& position) {
    for (std::int64_t i = 0; i < count; ++i)
      entries[i] = make(ordered(i), static_cast<std::uint32_t>(i));
    if (count < kManyEntries<kBytes>) {
      std::sort(entries, entries + count, [&](const auto& a, const auto& b) {
        return key(a) != key(b) ? key(a) < key(b) : position(a) < position(b);
      });
    } else {
      entries = in_order_of_bytes<kBytes>(
          entries, entries + count, count, [&](const auto& entry, int byte) {
            return static_cast<std::uint8_t>(key(entry) >> (8 * byte));
          });
    }
    for (std::int64_t i = 0; i < count; ++i) out[i] = position(entries[i]);
  };
  if constexpr (kBytes == 8) {
    order(
        static_cast<Entry64*>(memory),
        [](std::uint64_t key, std::uint32_t position) {
          return Entry64{key, position};
        },
        [](const Entry64& entry) { return entry.key; },
        [](const Entry64& entry) { return entry.position; });
  } else {
    order(
        static_cast<std::uint64_t*>(memory),
        [](Unsigned key, std::uint32_t position) { return std::uint64_t{key} << 32 | position; },
        [](std::uint64_t entry) { return static_cast<std::uint32_t>(entry >> 32); },
        [](std::uint64_t entry) { return static_cast<std::uint32_t>(entry); });
  }
}

// Memory that nobody clears.
using Bytes = std::unique_ptr<std::byte[]>;
Bytes bytes_of(std::int64_t count) { return Bytes(new std::byte[static_cast<std::size_t>(count)]); }

// Calls `body(in, out, run)` with each of the runs [first, first + count) as neighbours; those that
// are not are copied, as many at a time as lie in one line of the cache.
template <typename In, typename Out, typename Body>
void for_each_run(const Runs& runs, std::int64_t first, std::int64_t count, Out* out,
                  const Body& body) {
  const auto* const in = static_cast<const In*>(runs.in);
  const std::int64_t length = runs.length, step = runs.step;
  if (step == 1) {
    for (std::int64_t run = first; run < first + count; ++run)
      body(in + run * length, out + run * length);
    return;
  }
  constexpr std::int64_t kSide = std::max<std::int64_t>(1, 64 / sizeof(In));
  const std::int64_t elements = std::min(kSide, step) * length;
  // Aligned for each of the types.
  const std::int64_t places = (elements + 7) / 8 * 8;
  const Bytes memory = bytes_of(places * static_cast<std::int64_t>(sizeof(In) + sizeof(Out)));
  auto* const results = reinterpret_cast<Out*>(memory.get());
  auto* const copies = reinterpret_cast<In*>(results + places);
  for (std::int64_t run = first; run < first + count;) {
    const std::int64_t side = std::min({kSide, step - run % step, first + count - run});
    const std::int64_t begin = run / step * length * step + run % step;
    for (std::int64_t i = 0; i < length; ++i) {
      const In* const from = in + begin + i * step;
      for (std::int64_t j = 0; j < side; ++j) copies[j * length + i] = from[j];
    }
    for (std::int64_t j = 0; j < side; ++j) body(copies + j * length, results + j * length);
    for (std::int64_t i = 0; i < length; ++i) {
      Out* const to = out + begin + i * step;
      for (std::int64_t j = 0; j < side; ++j) to[j] = results[j * length + i];
    }
    run += side;
  }
}

}  // namespace

void sort_runs(const Runs& runs, std::int64_t first, std::int64_t count, void* out) {
  const std::int64_t length = runs.length, flip = flip_of(runs);
  with_scale(runs.type, [&]<typename T, Scale kScale>() {
    const Bytes memory = bytes_of(3 * length * static_cast<std::int64_t>(sizeof(T)));
    auto* const keys = reinterpret_cast<T*>(memory.get());
    for_each_run<T>(runs, first, count, static_cast<T*>(out), [&](const T* in, T* to) {
      const Zeros zeros = HWY_DYNAMIC_DISPATCH(KeysOf)(runs.type, in, length, flip, keys);
      const T* const sorted = sort_keys(keys, keys + length, length);
      HWY_DYNAMIC_DISPATCH(ElementsOf)(runs.type, sorted, length, flip, to);
      if (zeros.are_both()) restore_zeros(in, length, runs.descending, to);
    });
  });
}

void argsort_runs(const Runs& runs, std::int64_t first, std::int64_t count, std::uint32_t* out) {
  const std::int64_t length = runs.length;
  with_scale(runs.type, [&]<typename T, Scale kScale>() {
    constexpr std::size_t kEntry = sizeof(T) == 8 ? sizeof(Entry64) : sizeof(std::uint64_t);
    const Bytes memory = bytes_of(2 * length * static_cast<std::int64_t>(kEntry));
    for_each_run<T>(runs, first, count, out, [&](const T* in, std::uint32_t* to) {
      positions_in_order<T, kScale>(in, length, static_cast<T>(flip_of(runs)), memory.get(), to);
    });
  });
}

namespace {

struct Candidate {
  std::int64_t key;
  std::uint32_t position;
  // The larger key is before, of equals the lower position.
  bool operator<(const Candidate& other) const {
    return key != other.key ? key > other.key : position < other.position;
  }
};

template <typename T, Scale kScale>
void top_of_run(const Runs& runs, const T* in, std::int64_t k, std::vector<Candidate>& candidates,
                std::uint32_t* out) {
  const std::int64_t length = runs.length;
  const T flip = static_cast<T>(flip_of(runs));
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(2 * k, k + kBlock));
  candidates.clear();
  std::int64_t bound = std::numeric_limits<T>::min();
  bool has_bound = false;
  const auto keep_largest = [&] {
    std::nth_element(candidates.begin(), candidates.begin() + (k - 1), candidates.end());
    candidates.resize(static_cast<std::size_t>(k));
    bound = candidates.back().key;
    has_bound = true;
  };
  for (std::int64_t i = 0; i < length;) {
    if (has_bound) i = HWY_DYNAMIC_DISPATCH(BlockBeyond)(runs.type, in, i, length, flip, bound);
    const std::int64_t end = std::min(length, i + kBlock);
    for (; i < end; ++i) {
      const T key = static_cast<T>(key_of<T, kScale, true>(in[i]) ^ flip);
      // Of equals those that came before are kept.
      if (has_bound && key <= bound) continue;
      candidates.push_back({key, static_cast<std::uint32_t>(i)});
    }
    if (candidates.size() >= most) keep_largest();
  }
  std::partial_sort(candidates.begin(), candidates.begin() + k, candidates.end());
  for (std::int64_t i = 0; i < k; ++i) out[i] = candidates[static_cast<std::size_t>(i)].position;
}

}  // namespace

void top_of_runs(const Runs& runs, std::int64_t k, std::int64_t first, std::int64_t count,
                 std::uint32_t* out) {
  std::vector<Candidate> candidates;
  candidates.reserve(static_cast<std::size_t>(std::max(2 * k, k + kBlock) + kBlock));
  with_scale(runs.type, [&]<typename T, Scale kScale>() {
    for (std::int64_t run = first; run < first + count; ++run)
      top_of_run<T, kScale>(runs, static_cast<const T*>(runs.in) + run * runs.length, k, candidates,
                            out + run * k);
  });
}

bool LongRun::takes(const Runs& runs) {
  constexpr std::int64_t kLong = 1 << 15;
  return runs.step == 1 && runs.length >= kLong && size_of(runs.type) == 4 && cuts_keys();
}

LongRun::LongRun(const Runs& runs, std::int64_t number, std::size_t parts, void* out)
    : runs_(runs) {
  constexpr std::int64_t kLeastCut = 1 << 13;
  const std::int64_t length = runs.length;
  runs_.in = static_cast<const std::int32_t*>(runs.in) + number * length;
  out_ = static_cast<std::int32_t*>(out) + number * length;
  memory_.reset(new std::int32_t[static_cast<std::size_t>(3 * length)]);
  std::int32_t* const keys = memory_.get();
  has_both_zeros_ =
      HWY_DYNAMIC_DISPATCH(KeysOf)(runs.type, runs_.in, length, flip_of(runs), keys).are_both();
  // The largest is cut while there are few.
  std::vector<KeyPart> cut{{keys, keys + length, sorted(), length}};
  for (std::size_t cuts = 0; cuts < 2 * parts && cut.size() < parts; ++cuts) {
    const auto largest =
        std::max_element(cut.begin(), cut.end(),
                         [](const KeyPart& a, const KeyPart& b) { return a.count < b.count; });
    if (largest == cut.end() || largest->count < kLeastCut) break;
    KeyPart halves[2];
    const int left = HWY_DYNAMIC_DISPATCH(CutInTwo)(*largest, halves);
    cut.erase(largest);
    cut.insert(cut.end(), halves, halves + left);
  }
  std::sort(cut.begin(), cut.end(),
            [](const KeyPart& a, const KeyPart& b) { return a.out < b.out; });
  // What lies between parts is in order already.
  std::int32_t* end = sorted();
  for (const KeyPart& part : cut) {
    if (part.out != end) parts_.push_back({nullptr, nullptr, end, part.out - end});
    parts_.push_back({part.keys, part.scratch, part.out, part.count});
    end = part.out + part.count;
  }
  if (const std::int64_t left = sorted() + length - end; left > 0)
    parts_.push_back({nullptr, nullptr, end, left});
}

void LongRun::sort_part(std::int64_t i) const {
  const Part& part = parts_[static_cast<std::size_t>(i)];
  if (part.keys != nullptr) {
    HWY_DYNAMIC_DISPATCH(SortPart)
    ({part.keys, part.scratch, part.out, part.count}, levels_of(part.count));
  }
  const std::int64_t first = part.out - sorted();
  HWY_DYNAMIC_DISPATCH(ElementsOf)
  (runs_.type, part.out, part.count, flip_of(runs_), static_cast<std::int32_t*>(out_) + first);
}

void LongRun::finish() const {
  if (has_both_zeros_) {
    restore_zeros(static_cast<const std::int32_t*>(runs_.in), runs_.length, runs_.descending,
                  static_cast<std::int32_t*>(out_));
  }
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
