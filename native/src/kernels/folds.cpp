#include "kernels/folds.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#ifdef MLXNX_WITHOUT_HIGHWAY
#include "kernels/without_highway.h"
#else
#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/folds.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "hwy/highway.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// Each fold: what it begins with, and what a result and an element make.

template <typename T>
struct Sum {
  using Held = T;
  static constexpr T kStart{0};
  static HWY_INLINE T Of(T sum, T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(x));
    } else {
      return sum + x;
    }
  }
};
template <typename T>
struct Product {
  using Held = T;
  static constexpr T kStart{1};
  static HWY_INLINE T Of(T product, T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<std::uint64_t>(product) * static_cast<std::uint64_t>(x));
    } else {
      return product * x;
    }
  }
};
template <typename T>
struct Max {
  using Held = T;
  static constexpr T kStart = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::lowest();
  static HWY_INLINE T Of(T most, T x) { return x != x || x > most ? x : most; }
};
template <typename T>
struct Min {
  using Held = T;
  static constexpr T kStart = std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::max();
  static HWY_INLINE T Of(T least, T x) { return x != x || x < least ? x : least; }
};
template <typename T>
struct All {
  using Held = std::uint8_t;
  static constexpr Held kStart = 1;
  static HWY_INLINE Held Of(Held all, T x) { return static_cast<Held>(all & Held(x != T{0})); }
};
template <typename T>
struct Any {
  using Held = std::uint8_t;
  static constexpr Held kStart = 0;
  static HWY_INLINE Held Of(Held any, T x) { return static_cast<Held>(any | Held(x != T{0})); }
};

// How to put two results together: of truths, as those of masks.
template <typename T, template <typename> typename F>
using Join = F<typename F<T>::Held>;

// Steps after which sums of floats go on in doubles.
constexpr std::int64_t kSteps = 64;
template <typename T, template <typename> typename F>
constexpr bool kGoesOnInDoubles = std::is_floating_point_v<T>&& std::is_same_v<F<T>, Sum<T>>;

template <typename T, template <typename> typename F>
typename F<T>::Held FoldRow(const T* x, std::int64_t count) {
  using Held = typename F<T>::Held;
  constexpr int kLanes = 128 / sizeof(T);
  constexpr bool kWidens = kGoesOnInDoubles<T, F>;
  std::conditional_t<kWidens, double, Held> total = F<T>::kStart;
  const auto join = [&total](Held held) {
    if constexpr (kWidens) {
      total += static_cast<double>(held);
    } else {
      total = Join<T, F>::Of(total, held);
    }
  };
  std::int64_t i = 0;
  while (i + kLanes <= count) {
    const std::int64_t end = kWidens ? std::min(count, i + kSteps * kLanes) : count;
    Held lanes[kLanes];
    for (int k = 0; k < kLanes; ++k) lanes[k] = F<T>::kStart;
    for (; i + kLanes <= end; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) lanes[k] = F<T>::Of(lanes[k], x[i + k]);
    }
    for (int k = 0; k < kLanes; ++k) join(lanes[k]);
  }
  for (; i < count; ++i) join(F<T>::Of(F<T>::kStart, x[i]));
  return static_cast<Held>(total);
}

// `width` columns of `length` rows that are `step` elements apart.
template <typename T, template <typename> typename F>
void FoldColumns(const T* x, std::int64_t length, std::int64_t step, std::int64_t width,
                 typename F<T>::Held* out) {
  using Held = typename F<T>::Held;
  constexpr std::int64_t kTile = 1024;
  constexpr bool kWidens = kGoesOnInDoubles<T, F>;
  Held held[kTile];
  double wide[kWidens ? kTile : 1];
  for (std::int64_t start = 0; start < width; start += kTile) {
    const std::int64_t count = std::min(kTile, width - start);
    if constexpr (kWidens) std::fill(wide, wide + count, 0.0);
    std::fill(held, held + count, F<T>::kStart);
    for (std::int64_t row = 0; row < length; ++row) {
      const T* const from = x + row * step + start;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < count; ++j) held[j] = F<T>::Of(held[j], from[j]);
      if constexpr (kWidens) {
        if ((row + 1) % kSteps != 0) continue;
        for (std::int64_t j = 0; j < count; ++j) wide[j] += static_cast<double>(held[j]);
        std::fill(held, held + count, T{0});
      }
    }
    for (std::int64_t j = 0; j < count; ++j) {
      if constexpr (kWidens) {
        out[start + j] = static_cast<T>(wide[j] + static_cast<double>(held[j]));
      } else {
        out[start + j] = held[j];
      }
    }
  }
}

template <typename T, template <typename> typename F>
void FoldAll(const Folded& call, std::int64_t first, std::int64_t count) {
  using Held = typename F<T>::Held;
  // Rows as short as these are taken many at a time.
  constexpr std::int64_t kShort = 128 / sizeof(T);
  const std::int64_t inner = call.inner, length = call.length;
  const T* const x = static_cast<const T*>(call.x);
  Held* out = static_cast<Held*>(call.out) + first;
  if (inner == 1) {
    for (std::int64_t i = first; i < first + count; ++i)
      *out++ = FoldRow<T, F>(x + i * length, length);
    return;
  }
  for (std::int64_t at = first; at < first + count;) {
    const std::int64_t block = at / inner, column = at % inner;
    const std::int64_t width = std::min(inner - column, first + count - at);
    const T* const from = x + block * length * inner + column;
    const std::int64_t many = 2 * kShort / inner;
    if (width == inner && inner <= kShort && length >= 4 * many) {
      Held some[2 * kShort];
      const std::int64_t whole = length / many;
      FoldColumns<T, F>(from, whole, many * inner, many * inner, some);
      FoldColumns<Held, F>(some, many, inner, inner, out);
      for (std::int64_t row = whole * many; row < length; ++row) {
        for (std::int64_t j = 0; j < inner; ++j) out[j] = F<T>::Of(out[j], from[row * inner + j]);
      }
    } else {
      FoldColumns<T, F>(from, length, inner, width, out);
    }
    at += width;
    out += width;
  }
}

// Where signs make no difference, as in what wraps: half as many types to compile.
template <typename T>
auto WithoutSign() {
  if constexpr (std::is_integral_v<T>) {
    return std::make_unsigned_t<T>();
  } else {
    return T();
  }
}

template <typename T>
void FoldOfType(const Folded& call, std::int64_t first, std::int64_t count) {
  using Bits = decltype(WithoutSign<T>());
  switch (call.fold) {
    case Fold::k_sum:
      return FoldAll<Bits, Sum>(call, first, count);
    case Fold::k_prod:
      return FoldAll<Bits, Product>(call, first, count);
    case Fold::k_max:
      return FoldAll<T, Max>(call, first, count);
    case Fold::k_min:
      return FoldAll<T, Min>(call, first, count);
    case Fold::k_all:
      return FoldAll<Bits, All>(call, first, count);
    case Fold::k_any:
      return FoldAll<Bits, Any>(call, first, count);
  }
}

void FoldAny(const Folded& call, std::int64_t first, std::int64_t count) {
  with_type(call.type, [&]<typename T>() {
    // Truths of masks are those of their bytes.
    using Element = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
    FoldOfType<Element>(call, first, count);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(FoldAny);

void fold(const Folded& call, std::int64_t first, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(FoldAny)(call, first, count);
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
