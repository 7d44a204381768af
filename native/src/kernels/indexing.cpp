#include "kernels/indexing.h"

#include <algorithm>
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
  switch (indices.type) {
    case IndexType::kU8:
      return f(static_cast<const std::uint8_t*>(indices.data));
    case IndexType::kU16:
      return f(static_cast<const std::uint16_t*>(indices.data));
    case IndexType::kU32:
      return f(static_cast<const std::uint32_t*>(indices.data));
    case IndexType::kU64:
      return f(static_cast<const std::uint64_t*>(indices.data));
    case IndexType::kS8:
      return f(static_cast<const std::int8_t*>(indices.data));
    case IndexType::kS16:
      return f(static_cast<const std::int16_t*>(indices.data));
    case IndexType::kS32:
      return f(static_cast<const std::int32_t*>(indices.data));
    case IndexType::kS64:
      return f(static_cast<const std::int64_t*>(indices.data));
  }
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

// The numbers of runs that points mean. Those of up to two narrow indices are computed in 32 bits
// where they fit.
template <typename Int, int kWidth, typename Place>
struct Points {
  const Int* data;
  int width;
  Int last[Indices::kMostAxes];
  Place steps[Indices::kMostAxes];

  Points(const Indices& indices, const Int* data) : data(data), width(indices.width) {
    std::int64_t step = 1;
    for (int axis = width; axis-- > 0;) {
      last[axis] = last_of<Int>(indices.sizes[static_cast<std::size_t>(axis)]);
      steps[axis] = static_cast<Place>(step);
      step *= indices.sizes[static_cast<std::size_t>(axis)];
    }
  }
  Place operator[](std::int64_t i) const {
    if constexpr (kWidth == 1) return static_cast<Place>(clamped(data[i], last[0]));
    if constexpr (kWidth == 2) {
      return static_cast<Place>(clamped(data[2 * i], last[0])) * steps[0] +
             static_cast<Place>(clamped(data[2 * i + 1], last[1]));
    }
    Place place = 0;
    for (int axis = 0; axis < width; ++axis)
      place += static_cast<Place>(clamped(data[i * width + axis], last[axis])) * steps[axis];
    return place;
  }
};

// What f(the points) does with points of each width.
template <typename F>
void with_points(const Indices& indices, const F& f) {
  with_indices(indices, [&]<typename Int>(const Int* data) {
    if (indices.width == 1) return f(Points<Int, 1, std::int64_t>(indices, data));
    if (indices.width == 2) return f(Points<Int, 2, std::int64_t>(indices, data));
    f(Points<Int, 0, std::int64_t>(indices, data));
  });
}

// What f<an integer of so many bytes>() does.
template <typename F>
void with_width(std::int64_t bytes, const F& f) {
  if (bytes == 1) return f.template operator()<std::uint8_t>();
  if (bytes == 2) return f.template operator()<std::uint16_t>();
  if (bytes == 4) return f.template operator()<std::uint32_t>();
  f.template operator()<std::uint64_t>();
}

constexpr bool is_element(std::int64_t bytes) {
  return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

}  // namespace
}  // namespace mlxnx::kernels
#endif  // once

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

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

template <typename T, typename Points>
void PickElements(const Points points, std::int64_t first, std::int64_t count,
                  const T* HWY_RESTRICT from, T* HWY_RESTRICT to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[points[first + i]];
}

void Pick(const Indices& indices, std::int64_t first, std::int64_t count, const void* from,
          std::int64_t bytes, void* to) {
  with_points(indices, [&](const auto& points) {
    if (is_element(bytes)) {
      return with_width(bytes, [&]<typename T>() {
        PickElements(points, first, count, static_cast<const T*>(from), static_cast<T*>(to));
      });
    }
    const auto* const source = static_cast<const std::byte*>(from);
    auto* target = static_cast<std::byte*>(to);
    for (std::int64_t i = first; i < first + count; ++i, target += bytes)
      std::memcpy(target, source + points[i] * bytes, static_cast<std::size_t>(bytes));
  });
}

template <typename T, typename Points>
void PickColumns(const Points points, std::int64_t count, std::int64_t inner,
                 const T* HWY_RESTRICT from, T* HWY_RESTRICT to) {
  if (inner == 1) return PickElements(points, 0, count, from, to);
  for (std::int64_t row = 0; row < count; row += inner) {
    for (std::int64_t i = 0; i < inner; ++i) to[row + i] = from[points[row + i] * inner + i];
  }
}

void PickInColumns(const Indices& indices, std::int64_t inner, const void* from, std::int64_t bytes,
                   void* to) {
  with_indices(indices, [&]<typename Int>(const Int* data) {
    const Points<Int, 1, std::int64_t> points(indices, data);
    with_width(bytes, [&]<typename T>() {
      PickColumns(points, indices.count, inner, static_cast<const T*>(from), static_cast<T*>(to));
    });
  });
}

template <typename T>
void AddRun(const T* HWY_RESTRICT updates, std::int64_t length, T* HWY_RESTRICT to) {
  for (std::int64_t i = 0; i < length; ++i) to[i] = static_cast<T>(to[i] + updates[i]);
}

template <typename T>
void AddAll(const Indices& indices, const void* updates, std::int64_t length, void* to) {
  const auto* const from = static_cast<const T*>(updates);
  auto* const target = static_cast<T*>(to);
  with_points(indices, [&](const auto& points) {
    if (length == 1) {
      for (std::int64_t i = 0; i < indices.count; ++i) {
        T& number = target[points[i]];
        number = static_cast<T>(number + from[i]);
      }
      return;
    }
    for (std::int64_t i = 0; i < indices.count; ++i)
      AddRun(from + i * length, length, target + points[i] * length);
  });
}

void Add(const Indices& indices, const void* updates, Addend type, std::int64_t length, void* to) {
  switch (type) {
    case Addend::kInt8:
      return AddAll<std::uint8_t>(indices, updates, length, to);
    case Addend::kInt16:
      return AddAll<std::uint16_t>(indices, updates, length, to);
    case Addend::kInt32:
      return AddAll<std::uint32_t>(indices, updates, length, to);
    case Addend::kInt64:
      return AddAll<std::uint64_t>(indices, updates, length, to);
    case Addend::kF32:
      return AddAll<float>(indices, updates, length, to);
    case Addend::kF64:
      return AddAll<double>(indices, updates, length, to);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(AreInside);
HWY_EXPORT(Pick);
HWY_EXPORT(PickInColumns);
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
  with_points(indices, [&](const auto& points) {
    if (is_element(bytes)) {
      return with_width(bytes, [&]<typename T>() {
        const auto* const from = static_cast<const T*>(updates);
        auto* const target = static_cast<T*>(to);
        for (std::int64_t i = 0; i < indices.count; ++i) target[points[i]] = from[i];
      });
    }
    const auto* from = static_cast<const std::byte*>(updates);
    auto* const target = static_cast<std::byte*>(to);
    for (std::int64_t i = 0; i < indices.count; ++i, from += bytes)
      std::memcpy(target + points[i] * bytes, from, static_cast<std::size_t>(bytes));
  });
}

void add_runs(const Indices& indices, const void* updates, Addend type, std::int64_t length,
              void* to) {
  HWY_DYNAMIC_DISPATCH(Add)(indices, updates, type, length, to);
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
