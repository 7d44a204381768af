#include "kernels/indexing.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/indexing.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here. The compiler makes vectors of these loops.
#include "hwy/highway.h"

#ifndef MLXNX_KERNELS_INDEXING_ONCE
#define MLXNX_KERNELS_INDEXING_ONCE
namespace mlxnx::kernels {
namespace {

template <typename F>
void with_indices(const Indices& indices, const F& f) {
  with_type(indices.type, [&]<typename T>() {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      f(static_cast<const T*>(indices.data));
  });
}

// The largest index of an axis in the indices' own type.
template <typename Int>
Int last_of(std::int64_t size) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Int>::max());
  return static_cast<Int>(std::min(static_cast<std::uint64_t>(size - 1), kMost));
}

template <typename Int>
Int clamped(Int index, Int last) {
  if constexpr (std::is_signed_v<Int>) index = std::max(index, Int{0});
  return std::min(index, last);
}

// What f<an integer of so many bytes>() does.
template <typename F>
void with_width(std::int64_t bytes, const F& f) {
  if (bytes == 1) return f.template operator()<std::uint8_t>();
  if (bytes == 2) return f.template operator()<std::uint16_t>();
  if (bytes == 4) return f.template operator()<std::uint32_t>();
  f.template operator()<std::uint64_t>();
}

// Points at a time whose places are computed before they are used.
constexpr std::int64_t kBlock = 512;

constexpr bool is_element(std::int64_t bytes) {
  return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

}  // namespace
}  // namespace mlxnx::kernels
#endif  // once

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// The numbers of runs that points mean, kWidth indices each, or `width` where that is 0.
template <int kWidth, typename Int>
void PlacesOf(const Int* indices, std::int64_t count, const Int* last, const std::int64_t* steps,
              int width, std::int64_t* HWY_RESTRICT places) {
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (kWidth == 1) {
      places[i] = static_cast<std::int64_t>(clamped(indices[i], last[0]));
    } else if constexpr (kWidth == 2) {
      places[i] = static_cast<std::int64_t>(clamped(indices[2 * i], last[0])) * steps[0] +
                  static_cast<std::int64_t>(clamped(indices[2 * i + 1], last[1]));
    } else {
      places[i] = 0;
      for (int axis = 0; axis < width; ++axis)
        places[i] +=
            static_cast<std::int64_t>(clamped(indices[i * width + axis], last[axis])) * steps[axis];
    }
  }
}

// Those of points [first, first + count).
void Places(const Indices& indices, std::int64_t first, std::int64_t count, std::int64_t* places) {
  std::int64_t steps[Indices::kMostAxes] = {};
  std::int64_t step = 1;
  for (int axis = indices.width; axis-- > 0;) {
    steps[axis] = step;
    step *= indices.sizes[static_cast<std::size_t>(axis)];
  }
  with_indices(indices, [&]<typename Int>(const Int* data) {
    Int last[Indices::kMostAxes] = {};
    for (int axis = 0; axis < indices.width; ++axis)
      last[axis] = last_of<Int>(indices.sizes[static_cast<std::size_t>(axis)]);
    const Int* const from = data + first * indices.width;
    if (indices.width == 1) return PlacesOf<1>(from, count, last, steps, 1, places);
    if (indices.width == 2) return PlacesOf<2>(from, count, last, steps, 2, places);
    PlacesOf<0>(from, count, last, steps, indices.width, places);
  });
}

template <int kWidth, typename Unsigned>
bool AreAtMost(const Unsigned* indices, std::int64_t count, const Unsigned* last, int width) {
  Unsigned are_beyond = 0;
  if constexpr (kWidth > 0) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (int axis = 0; axis < kWidth; ++axis)
        are_beyond |= static_cast<Unsigned>(indices[i * kWidth + axis] > last[axis] ? 1 : 0);
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      for (int axis = 0; axis < width; ++axis)
        are_beyond |= static_cast<Unsigned>(indices[i * width + axis] > last[axis] ? 1 : 0);
    }
  }
  return are_beyond == 0;
}

bool AreInside(const Indices& indices) {
  bool result = false;
  with_indices(indices, [&]<typename Int>(const Int* data) {
    // Negative ones are larger than all others without a sign.
    using Unsigned = std::make_unsigned_t<Int>;
    const auto* const numbers = reinterpret_cast<const Unsigned*>(data);
    Unsigned last[Indices::kMostAxes] = {};
    for (int axis = 0; axis < indices.width; ++axis) {
      last[axis] =
          static_cast<Unsigned>(last_of<Int>(indices.sizes[static_cast<std::size_t>(axis)]));
    }
    result = indices.width == 1   ? AreAtMost<1>(numbers, indices.count, last, 1)
             : indices.width == 2 ? AreAtMost<2>(numbers, indices.count, last, 2)
                                  : AreAtMost<0>(numbers, indices.count, last, indices.width);
  });
  return result;
}

// Calls f(first point, how many, where their runs are) with some points after the other.
template <typename F>
HWY_INLINE void ForPlaces(const Indices& indices, std::int64_t first, std::int64_t count,
                          const F& f) {
  std::int64_t places[kBlock];
  for (std::int64_t done = 0; done < count; done += kBlock) {
    const std::int64_t some = std::min(kBlock, count - done);
    Places(indices, first + done, some, places);
    f(done, some, static_cast<const std::int64_t*>(places));
  }
}

template <typename T>
void PickElements(const std::int64_t* HWY_RESTRICT places, std::int64_t count,
                  const T* HWY_RESTRICT from, T* HWY_RESTRICT to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[places[i]];
}

void Pick(const Indices& indices, std::int64_t first, std::int64_t count, const void* from,
          std::int64_t bytes, void* to) {
  ForPlaces(
      indices, first, count, [&](std::int64_t done, std::int64_t some, const std::int64_t* places) {
        auto* const target = static_cast<std::byte*>(to) + done * bytes;
        if (is_element(bytes)) {
          return with_width(bytes, [&]<typename T>() {
            PickElements(places, some, static_cast<const T*>(from), reinterpret_cast<T*>(target));
          });
        }
        const auto* const source = static_cast<const std::byte*>(from);
        for (std::int64_t i = 0; i < some; ++i)
          std::memcpy(target + i * bytes, source + places[i] * bytes,
                      static_cast<std::size_t>(bytes));
      });
}

void PickInColumns(const Indices& indices, std::int64_t inner, const void* from, std::int64_t bytes,
                   void* to) {
  if (inner == 1) return Pick(indices, 0, indices.count, from, bytes, to);
  std::int64_t column = 0;
  ForPlaces(indices, 0, indices.count,
            [&](std::int64_t done, std::int64_t some, const std::int64_t* places) {
              with_width(bytes, [&]<typename T>() {
                const auto* const source = static_cast<const T*>(from);
                auto* const target = static_cast<T*>(to) + done;
                for (std::int64_t i = 0; i < some; ++i) {
                  target[i] = source[places[i] * inner + column];
                  column = column + 1 == inner ? 0 : column + 1;
                }
              });
            });
}

void Put(const Indices& indices, const void* updates, std::int64_t bytes, void* to) {
  ForPlaces(indices, 0, indices.count,
            [&](std::int64_t done, std::int64_t some, const std::int64_t* places) {
              const auto* const from = static_cast<const std::byte*>(updates) + done * bytes;
              if (is_element(bytes)) {
                return with_width(bytes, [&]<typename T>() {
                  for (std::int64_t i = 0; i < some; ++i)
                    static_cast<T*>(to)[places[i]] = reinterpret_cast<const T*>(from)[i];
                });
              }
              auto* const target = static_cast<std::byte*>(to);
              for (std::int64_t i = 0; i < some; ++i)
                std::memcpy(target + places[i] * bytes, from + i * bytes,
                            static_cast<std::size_t>(bytes));
            });
}

template <typename T>
void AddRun(const T* HWY_RESTRICT updates, std::int64_t length, T* HWY_RESTRICT to) {
  for (std::int64_t i = 0; i < length; ++i) to[i] = static_cast<T>(to[i] + updates[i]);
}

template <typename T>
void AddAll(const Indices& indices, const void* updates, std::int64_t length, void* to) {
  auto* const target = static_cast<T*>(to);
  ForPlaces(indices, 0, indices.count,
            [&](std::int64_t done, std::int64_t some, const std::int64_t* places) {
              const T* const from = static_cast<const T*>(updates) + done * length;
              for (std::int64_t i = 0; i < some; ++i) {
                if (length == 1) {
                  T& number = target[places[i]];
                  number = static_cast<T>(number + from[i]);
                } else {
                  AddRun(from + i * length, length, target + places[i] * length);
                }
              }
            });
}

// Sums of integers wrap whatever their sign.
template <typename T>
struct Addend {
  using Number = std::make_unsigned_t<std::conditional_t<std::is_same_v<T, bool>, char, T>>;
};
template <>
struct Addend<float> {
  using Number = float;
};
template <>
struct Addend<double> {
  using Number = double;
};

void Add(const Indices& indices, const void* updates, Type type, std::int64_t length, void* to) {
  with_type(type, [&]<typename T>() {
    AddAll<typename Addend<T>::Number>(indices, updates, length, to);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(AreInside);
HWY_EXPORT(Pick);
HWY_EXPORT(PickInColumns);
HWY_EXPORT(Put);
HWY_EXPORT(Add);

bool are_inside(const Indices& indices) { return HWY_DYNAMIC_DISPATCH(AreInside)(indices); }

void pick_runs(const Indices& indices, std::int64_t first, std::int64_t count, const void* from,
               std::int64_t bytes, void* to) {
  HWY_DYNAMIC_DISPATCH(Pick)(indices, first, count, from, bytes, to);
}

void pick_in_columns(const Indices& indices, std::int64_t inner, const void* from,
                     std::int64_t bytes, void* to) {
  HWY_DYNAMIC_DISPATCH(PickInColumns)(indices, inner, from, bytes, to);
}

void put_runs(const Indices& indices, const void* updates, std::int64_t bytes, void* to) {
  HWY_DYNAMIC_DISPATCH(Put)(indices, updates, bytes, to);
}

void add_runs(const Indices& indices, const void* updates, Type type, std::int64_t length,
              void* to) {
  HWY_DYNAMIC_DISPATCH(Add)(indices, updates, type, length, to);
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
