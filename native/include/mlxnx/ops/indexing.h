// Parts of tensors, read and replaced, by position, by index or by condition.
// Slice starts are clamped so that the slice lies inside the tensor. Indices are integers of any
// type; one outside its axis, negative ones included, is an error where its value is known when the
// op is called (the index tensor is computed already and lies in host memory); otherwise it is
// clamped when the op runs.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// Where a slice starts along one axis: a number, or an integer scalar computed later.
using SliceStart = std::variant<std::int64_t, Tensor>;

/// Options of `slice`; the default is Nx's.
struct SliceOptions {
  std::optional<Axes> strides = std::nullopt;  ///< a step of at least 1 for each axis; none: 1
};

/// The part of a tensor with `lengths` elements in each axis from `starts` on, of which every
/// stride-th is kept.
/// Throws: ShapeError for lengths outside 1 … dimension or lists not as long as the rank. Nx:
/// Nx.slice
///
///     slice(iota({3, 3}), {1, 0}, {2, 2});  // s32[2][2] [[3, 4], [6, 7]]
Tensor slice(const Tensor& tensor, const std::vector<SliceStart>& starts, const Shape& lengths,
             const SliceOptions& options = {});

/// Options of `slice_along_axis`; the defaults are Nx's.
struct SliceAlongAxisOptions {
  std::int64_t axis = 0;
  std::int64_t stride = 1;
};

/// A slice of one axis that keeps the others whole.
/// Throws: ShapeError. Nx: Nx.slice_along_axis
///
///     slice_along_axis(iota({2, 3}), 1, 2, {.axis = 1});  // s32[2][2] [[1, 2], [4, 5]]
Tensor slice_along_axis(const Tensor& tensor, const SliceStart& start, std::int64_t length,
                        const SliceAlongAxisOptions& options = {});

/// `tensor` with the part from `starts` on replaced by `slice`.
/// Shapes: `slice` has the rank of `tensor` and is no larger. Types: the merge of both.
/// Throws: ShapeError. Nx: Nx.put_slice
///
///     put_slice(iota({4}), {1}, tensor({7, 8}));  // s32[4] [0, 7, 8, 3]
Tensor put_slice(const Tensor& tensor, const std::vector<SliceStart>& starts, const Tensor& slice);

/// Options of `take`; the default is Nx's.
struct TakeOptions {
  std::int64_t axis = 0;
};

/// Slices along an axis, one for each index; the shape of `indices` takes the axis's place.
/// Throws: TypeError, ArgumentError for indices; ShapeError for the axis. Nx: Nx.take
///
///     take(iota({2, 2}), tensor({1, 1, 0}));  // s32[3][2] [[2, 3], [2, 3], [0, 1]]
Tensor take(const Tensor& tensor, const Tensor& indices, const TakeOptions& options = {});

/// Options of `take_along_axis`; the default is Nx's.
struct TakeAlongAxisOptions {
  std::int64_t axis = 0;
};

/// Elements picked along an axis; `indices` has the shape of `tensor` but for that axis.
/// Throws: TypeError, ArgumentError for indices; ShapeError. Nx: Nx.take_along_axis
///
///     take_along_axis(tensor({{5, 6}}), tensor({{1, 0}}), {.axis = 1});  // s32[1][2] [[6, 5]]
Tensor take_along_axis(const Tensor& tensor, const Tensor& indices,
                       const TakeAlongAxisOptions& options = {});

/// Options of `gather`, `indexed_add` and `indexed_put`.
struct IndexedOptions {
  /// The axes that the numbers in an index stand for, ascending; none: the first ones.
  std::optional<Axes> axes = std::nullopt;
};

/// The elements, or parts, at the indices in the last axis of `indices`.
/// Shapes: `indices` `[…, K]`; result `[…]` followed by the dimensions not indexed.
/// Throws: TypeError, ArgumentError for indices; ShapeError. Nx: Nx.gather
///
///     gather(iota({2, 2}), tensor({{1, 1}, {0, 1}}));  // s32[2] [3, 1]
Tensor gather(const Tensor& tensor, const Tensor& indices, const IndexedOptions& options = {});

/// `target` with `updates` added at `indices`; what repeated indices add adds up.
/// Shapes: `indices` `[N, K]`; `updates` `[N]` followed by the dimensions not indexed, which may be
/// smaller. Or one update: `indices` `[rank]`, `updates` a scalar. Types: the merge of target and
/// updates. Throws: TypeError, ArgumentError for indices; ShapeError. Nx: Nx.indexed_add
///
///     indexed_add(iota({3}), tensor({{1}, {1}}), tensor({10, 20}));  // s32[3] [0, 31, 2]
Tensor indexed_add(const Tensor& target, const Tensor& indices, const Tensor& updates,
                   const IndexedOptions& options = {});

/// `target` with `updates` put at `indices`; of repeated indices the last stays on the CPU, any on
/// a GPU. Shapes, types and errors: as `indexed_add`. Nx: Nx.indexed_put
///
///     indexed_put(iota({3}), tensor({{1}}), tensor({10}));  // s32[3] [0, 10, 2]
Tensor indexed_put(const Tensor& target, const Tensor& indices, const Tensor& updates,
                   const IndexedOptions& options = {});

/// Elements of `on_true` where `predicate` is not 0, else of `on_false`.
/// Shapes: both broadcast to the shape of `predicate`, or, if that is a scalar, to each other.
/// Types: the merge of both. Throws: ShapeError. Nx: Nx.select
///
///     select(tensor({1, 0}), tensor({1, 2}), -1);  // s32[2] [1, -1]
Tensor select(const Tensor& predicate, const Tensor& on_true, const Tensor& on_false);

/// Each element limited to `min` … `max`, both scalars; NaN becomes `min`.
/// Types: the merge of all. Throws: TypeError for complex types; ShapeError. Nx: Nx.clip
///
///     clip(iota({4}), 1, 2);  // s32[4] [1, 1, 2, 2]
Tensor clip(const Tensor& tensor, const Tensor& min, const Tensor& max);

}  // namespace mlxnx
