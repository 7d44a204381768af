// Runs of elements picked, put or added to by index, in vectors of the CPU at hand where these
// help. Nothing here knows MLX or starts threads. Indices outside of an axis count as its nearest
// one.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/type.h"

namespace mlxnx::kernels {

/// Points in an array: `width` indices each, one for each of the axes in front of a run.
struct Indices {
  static constexpr int kMostAxes = 8;

  const void* data = nullptr;
  Type type = Type::kS32;  ///< of integers
  std::int64_t count = 0;  ///< of points
  int width = 1;
  std::array<std::int64_t, kMostAxes> sizes{};  ///< of the axes, at least 1
};

/// Whether all indices lie in their axes.
bool are_inside(const Indices& indices);

/// Writes the runs of points [first, first + count), of `bytes` each, one after the other to `to`.
void pick_runs(const Indices& indices, std::int64_t first, std::int64_t count, const void* from,
               std::int64_t bytes, void* to);

/// Of points with one index that lie in rows of `inner`: writes to the place of each the element of
/// `bytes` (1, 2, 4 or 8) that its index points at down its own column of `from`.
void pick_in_columns(const Indices& indices, std::int64_t inner, const void* from,
                     std::int64_t bytes, void* to);

/// Puts runs, that lie one after the other in `updates`, where the points are; the last of several
/// stays.
void put_runs(const Indices& indices, const void* updates, std::int64_t bytes, void* to);

/// Adds runs of `length` numbers, no halves, likewise, one after the other.
void add_runs(const Indices& indices, const void* updates, Type type, std::int64_t length,
              void* to);

}  // namespace mlxnx::kernels
