// Ops that fold elements together along axes, or up to each place of an axis. Axes may be negative:
// they then count from the last. An axis without elements has the sum 0 and the product 1, and no
// extreme.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// Options of reductions; the defaults are Nx's.
struct ReductionOptions {
  std::optional<Axes> axes = {};  ///< none: all, which leaves a scalar
  bool keep_axes = false;         ///< whether reduced axes stay, with size 1
};

/// 1 where no element along the axes is zero, else 0; NaN is not zero.
/// Types: any; result u8. Throws: ShapeError for an unknown or repeated axis. Nx: Nx.all
///
///     all(tensor({{0, 1}, {2, 3}}), {.axes = Axes{1}});  // u8[2] [0, 1]
Tensor all(const Tensor& tensor, const ReductionOptions& options = {});

/// 1 where some element along the axes is not zero, else 0; NaN is not zero.
/// Types: any; result u8. Throws: ShapeError for an unknown or repeated axis. Nx: Nx.any
///
///     any(tensor({{0, 1}, {0, 0}}), {.axes = Axes{1}});  // u8[2] [1, 0]
Tensor any(const Tensor& tensor, const ReductionOptions& options = {});

/// Sum along the axes. f16 and bf16 accumulate in f32; integers wrap.
/// Types: u8, u16 and u32 become u32, s8, s16 and s32 become s32, u64 and s64 become s64; the
/// others stay. Throws: ShapeError for an unknown or repeated axis. Nx: Nx.sum
///
///     sum(tensor({{1, 2}, {3, 4}}), {.axes = Axes{0}});  // s32[2] [4, 6]
Tensor sum(const Tensor& tensor, const ReductionOptions& options = {});

/// Product along the axes. f16 and bf16 accumulate in f32; integers wrap.
/// Types: as `sum`. Throws: ShapeError for an unknown or repeated axis. Nx: Nx.product
///
///     product(tensor({{1, 2}, {3, 4}}), {.axes = Axes{0}});  // s32[2] [3, 8]
Tensor product(const Tensor& tensor, const ReductionOptions& options = {});

/// Largest element along the axes; NaN where there is one.
/// Types: any but c64; result as the tensor. Throws: TypeError; ShapeError for an unknown or
/// repeated axis, and where there are no elements. Nx: Nx.reduce_max
///
///     reduce_max(tensor({{1, 5}, {7, 2}}), {.axes = Axes{1}});  // s32[2] [5, 7]
Tensor reduce_max(const Tensor& tensor, const ReductionOptions& options = {});

/// Smallest element along the axes; NaN where there is one.
/// Types: any but c64; result as the tensor. Throws: TypeError; ShapeError for an unknown or
/// repeated axis, and where there are no elements. Nx: Nx.reduce_min
///
///     reduce_min(tensor({{1, 5}, {7, 2}}), {.axes = Axes{1}});  // s32[2] [1, 2]
Tensor reduce_min(const Tensor& tensor, const ReductionOptions& options = {});

/// Which of equal elements `argmax` and `argmin` answer: the first or the last.
enum class TieBreak { kLow, kHigh };

/// Options of `argmax` and `argmin`; the defaults are Nx's.
struct ArgExtremeOptions {
  std::optional<std::int64_t> axis = {};  ///< none: the position in the flat tensor, a scalar
  TieBreak tie_break = TieBreak::kLow;
  bool keep_axis = false;  ///< whether a given axis stays, with size 1
  DType type = DType::s32;
};

/// Position of the largest element along an axis; the last NaN where there is one.
/// Types: any but c64; result `options.type`. Throws: TypeError; ShapeError for an unknown axis,
/// and where there are no elements. Nx: Nx.argmax
///
///     argmax(tensor({{1, 5, 5}, {7, 2, 3}}), {.axis = 1});  // s32[2] [1, 0]
Tensor argmax(const Tensor& tensor, const ArgExtremeOptions& options = {});

/// Position of the smallest element along an axis; the last NaN where there is one.
/// Types: any but c64; result `options.type`. Throws: TypeError; ShapeError for an unknown axis,
/// and where there are no elements. Nx: Nx.argmin
///
///     argmin(tensor({{1, 5, 1}, {7, 2, 3}}), {.axis = 1});  // s32[2] [0, 1]
Tensor argmin(const Tensor& tensor, const ArgExtremeOptions& options = {});

/// The function of `reduce` and `window_reduce`: from an element and the accumulator so far to the
/// next accumulator. It is called once for each position along the reduced axes, with the elements
/// of all results at once: tensors of one shape, on which it must work element by element.
using Reducer = std::function<Tensor(const Tensor& element, const Tensor& accumulator)>;

/// Options of `reduce`; the defaults are Nx's.
struct ReduceOptions {
  std::optional<Axes> axes = {};   ///< none: all, which leaves a scalar
  bool keep_axes = false;          ///< whether reduced axes stay, with size 1
  std::optional<DType> type = {};  ///< of the result; none: the merge of tensor and accumulator
};

/// Folds the elements along the axes with a function, in row-major order, starting with the scalar
/// `accumulator`. A reduction with a name of its own is much faster.
/// Throws: ShapeError when the accumulator is no scalar, for an unknown or repeated axis, and when
/// the function changes the shape. Nx: Nx.reduce
///
///     reduce(tensor({{1, 2}, {3, 4}}), 10, add, {.axes = Axes{1}});  // s32[2] [13, 17]
Tensor reduce(const Tensor& tensor, const Tensor& accumulator, const Reducer& function,
              const ReduceOptions& options = {});

/// Options of the cumulative ops; the defaults are Nx's.
struct CumulativeOptions {
  std::int64_t axis = 0;
  bool reverse = false;  ///< whether it runs from the last element to the first
};

/// Sum of the elements up to each one along an axis; integers wrap.
/// Types: result as the tensor. Throws: ShapeError for an unknown axis. Nx: Nx.cumulative_sum
///
///     cumulative_sum(tensor({1, 2, 3}));  // s32[3] [1, 3, 6]
Tensor cumulative_sum(const Tensor& tensor, const CumulativeOptions& options = {});

/// Product of the elements up to each one along an axis; integers wrap.
/// Types: result as the tensor. Throws: ShapeError for an unknown axis. Nx: Nx.cumulative_product
///
///     cumulative_product(tensor({1, 2, 3}), {.reverse = true});  // s32[3] [6, 6, 3]
Tensor cumulative_product(const Tensor& tensor, const CumulativeOptions& options = {});

/// Smallest of the elements up to each one along an axis; NaN from the first NaN on.
/// Types: any but c64; result as the tensor. Throws: TypeError; ShapeError for an unknown axis.
/// Nx: Nx.cumulative_min
///
///     cumulative_min(tensor({3, 1, 2}));  // s32[3] [3, 1, 1]
Tensor cumulative_min(const Tensor& tensor, const CumulativeOptions& options = {});

/// Largest of the elements up to each one along an axis; NaN from the first NaN on.
/// Types: any but c64; result as the tensor. Throws: TypeError; ShapeError for an unknown axis.
/// Nx: Nx.cumulative_max
///
///     cumulative_max(tensor({1, 3, 2}));  // s32[3] [1, 3, 3]
Tensor cumulative_max(const Tensor& tensor, const CumulativeOptions& options = {});

}  // namespace mlxnx
