// Sorting along an axis, and the largest elements. NaN counts as larger than everything, and equal
// elements keep their order. Complex numbers have no order: a TypeError.
#pragma once

#include <cstdint>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// Whether the smallest or the largest element comes first.
enum class Direction { kAscending, kDescending };

/// Options of `sort`; the defaults are Nx's.
struct SortOptions {
  std::int64_t axis = 0;  ///< negative: from the last
  Direction direction = Direction::kAscending;
};

/// The elements in order along an axis.
/// Throws: TypeError; ShapeError for an unknown axis. Nx: Nx.sort
///
///     sort(tensor({3, 1, 2}), {.direction = Direction::kDescending});  // s32[3] [3, 2, 1]
Tensor sort(const Tensor& tensor, const SortOptions& options = {});

/// Options of `argsort`; the defaults are Nx's.
struct ArgsortOptions {
  std::int64_t axis = 0;  ///< negative: from the last
  Direction direction = Direction::kAscending;
  DType type = DType::s32;  ///< of the positions
};

/// The positions that put the elements in order along an axis.
/// Types: result `options.type`. Throws: TypeError; ShapeError for an unknown axis. Nx: Nx.argsort
///
///     argsort(tensor({30, 10, 20}));  // s32[3] [1, 2, 0]
Tensor argsort(const Tensor& tensor, const ArgsortOptions& options = {});

struct TopKResult {
  Tensor values;   ///< largest first
  Tensor indices;  ///< s32, along the last axis
};

/// The `k` largest elements of the last axis and their positions.
/// Shapes: `[…, N]` to `[…, K]` twice. Throws: TypeError; ShapeError for a scalar and for more than
/// N; ArgumentError for less than 1. Nx: Nx.top_k
///
///     top_k(tensor({1, 5, 3}), 2);  // values s32[2] [5, 3], indices s32[2] [1, 2]
TopKResult top_k(const Tensor& tensor, std::int64_t k = 1);

}  // namespace mlxnx
