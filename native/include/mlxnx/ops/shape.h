// Ops that change type, shape or order and leave the elements what they are. Axes may be negative:
// they then count from the last. Unless it says otherwise, a function takes and returns any type.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// The elements cast to `type`. Floats become integers by truncation; NaN becomes 0, infinities the
/// type's limits, and integers wrap. Nx: Nx.as_type
///
///     as_type(tensor({1.7, -2.5}), DType::s8);  // s8[2] [1, -2]
Tensor as_type(const Tensor& tensor, DType type);

/// The same bytes read as `type`.
/// Throws: TypeError when the widths differ. Nx: Nx.bitcast, which refuses complex types
///
///     bitcast(tensor({1.0f}), DType::u32);  // u32[1] [1065353216]
Tensor bitcast(const Tensor& tensor, DType type);

/// The elements, in row-major order, under another shape. One dimension may be -1 and is computed.
/// Throws: ShapeError when the numbers of elements differ. Nx: Nx.reshape, with :auto for -1
///
///     reshape(iota({4}), {2, -1});  // s32[2][2] [[0, 1], [2, 3]]
Tensor reshape(const Tensor& tensor, const Shape& shape);

/// Options of `flatten`.
struct FlattenOptions {
  std::optional<Axes> axes = std::nullopt;  ///< consecutive axes to join; none: all
};

/// The tensor with some, or all, of its axes joined to one.
/// Throws: ShapeError for axes that are not consecutive. Nx: Nx.flatten
///
///     flatten(iota({2, 2}));  // s32[4] [0, 1, 2, 3]
Tensor flatten(const Tensor& tensor, const FlattenOptions& options = {});

/// The tensor with an axis of size 1 put in at `axis`, from -rank - 1 to rank.
/// Throws: ShapeError for any other axis. Nx: Nx.new_axis
///
///     new_axis(iota({2}), -1);  // s32[2][1] [[0], [1]]
Tensor new_axis(const Tensor& tensor, std::int64_t axis);

/// Options of `squeeze`.
struct SqueezeOptions {
  std::optional<Axes> axes = std::nullopt;  ///< none: all axes of size 1
};

/// The tensor without axes of size 1.
/// Throws: ShapeError for an axis of another size. Nx: Nx.squeeze
///
///     squeeze(iota({1, 2, 1}));  // s32[2] [0, 1]
Tensor squeeze(const Tensor& tensor, const SqueezeOptions& options = {});

/// Options of `transpose`.
struct TransposeOptions {
  std::optional<Axes> axes = std::nullopt;  ///< the axes in their new order; none: reversed
};

/// The axes in another order.
/// Throws: ShapeError unless `axes` names every axis once. Nx: Nx.transpose
///
///     transpose(iota({2, 2}));  // s32[2][2] [[0, 2], [1, 3]]
Tensor transpose(const Tensor& tensor, const TransposeOptions& options = {});

/// Options of `reverse`.
struct ReverseOptions {
  std::optional<Axes> axes = std::nullopt;  ///< none: all
};

/// The elements in reverse order along some, or all, axes.
/// Throws: ShapeError for an unknown or repeated axis. Nx: Nx.reverse
///
///     reverse(iota({3}));  // s32[3] [2, 1, 0]
Tensor reverse(const Tensor& tensor, const ReverseOptions& options = {});

/// Options of `broadcast`.
struct BroadcastOptions {
  /// For each axis of the tensor the axis of the result that it maps to, ascending; none: the last.
  std::optional<Axes> axes = std::nullopt;
};

/// The tensor repeated to fill `shape`: each of its dimensions is 1 or the one it maps to.
/// Throws: ShapeError. Nx: Nx.broadcast
///
///     broadcast(iota({2}), {2, 2}, {.axes = Axes{0}});  // s32[2][2] [[0, 0], [1, 1]]
Tensor broadcast(const Tensor& tensor, const Shape& shape, const BroadcastOptions& options = {});

/// The tensor repeated as often as `repetitions` says, along the last axes; more repetitions than
/// axes add leading axes.
/// Throws: ArgumentError for a repetition below 1. Nx: Nx.tile
///
///     tile(iota({2}), {2, 2});  // s32[2][4] [[0, 1, 0, 1], [0, 1, 0, 1]]
Tensor tile(const Tensor& tensor, const Shape& repetitions);

/// Padding of one axis: before, after and between its elements. Negative `low` and `high` cut off.
struct AxisPadding {
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t interior = 0;
};

/// `value`, a scalar, put around and between the elements; one entry of `padding` for each axis.
/// Types: the merge of both. Throws: ShapeError when the paddings don't fit the tensor;
/// ArgumentError for negative interior padding. Nx: Nx.pad
///
///     pad(tensor({1, 2}), 0, {{.low = 1, .interior = 1}});  // s32[4] [0, 1, 0, 2]
Tensor pad(const Tensor& tensor, const Tensor& value, const std::vector<AxisPadding>& padding);

/// Options of `concatenate`; the default is Nx's.
struct ConcatenateOptions {
  std::int64_t axis = 0;
};

/// Tensors joined along an axis; their other dimensions are the same.
/// Types: the merge of all. Throws: ArgumentError for no tensors; ShapeError. Nx: Nx.concatenate
///
///     concatenate({iota({2}), iota({1})});  // s32[3] [0, 1, 0]
Tensor concatenate(std::span<const Tensor> tensors, const ConcatenateOptions& options = {});
Tensor concatenate(std::initializer_list<Tensor> tensors, const ConcatenateOptions& options = {});

/// Options of `stack`; the default is Nx's.
struct StackOptions {
  std::int64_t axis = 0;  ///< where the new axis goes, from -rank - 1 to rank
};

/// Tensors of one shape joined along a new axis.
/// Types: the merge of all. Throws: ArgumentError for no tensors; ShapeError. Nx: Nx.stack
///
///     stack({iota({2}), iota({2})}, {.axis = 1});  // s32[2][2] [[0, 0], [1, 1]]
Tensor stack(std::span<const Tensor> tensors, const StackOptions& options = {});
Tensor stack(std::initializer_list<Tensor> tensors, const StackOptions& options = {});

/// Options of `split`; the default is Nx's.
struct SplitOptions {
  std::int64_t axis = 0;
};

/// The tensor in two parts along an axis: its first `index` elements, or all but the last `-index`,
/// and the rest. Throws: ArgumentError when a part would be empty. Nx: Nx.split
///
///     split(iota({3}), 1);  // s32[1] [0] and s32[2] [1, 2]
std::pair<Tensor, Tensor> split(const Tensor& tensor, std::int64_t index,
                                const SplitOptions& options = {});

}  // namespace mlxnx
