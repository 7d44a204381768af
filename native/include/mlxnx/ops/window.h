// Ops on windows that slide over a tensor. A window has one size per axis; the result has one
// element per window: (dimension + padding - reach) / stride + 1 along each axis, where a window
// of size W with dilation D reaches over (W - 1) * D + 1 elements.
#pragma once

#include <optional>

#include "mlxnx/ops/reduction.h"
#include "mlxnx/padding.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// Options of windows; the defaults are Nx's. Lists have one entry per axis.
struct WindowOptions {
  Padding padding = {};
  std::optional<Axes> strides = {};           ///< steps from window to window; none: 1
  std::optional<Axes> window_dilations = {};  ///< distance of neighbours in a window; none: 1
};

/// Sum of each window; integers wrap. The padding is 0.
/// Types: result as the tensor. Throws: ShapeError, ArgumentError when window and options don't fit
/// the tensor. Nx: Nx.window_sum
///
///     window_sum(tensor({1, 2, 3, 4}), {2});  // s32[3] [3, 5, 7]
Tensor window_sum(const Tensor& tensor, const Shape& window, const WindowOptions& options = {});

/// Product of each window; integers wrap. The padding is 1.
/// Types: result as the tensor. Throws: ShapeError, ArgumentError when window and options don't fit
/// the tensor. Nx: Nx.window_product
///
///     window_product(tensor({1, 2, 3, 4}), {2}, {.strides = Axes{2}});  // s32[2] [2, 12]
Tensor window_product(const Tensor& tensor, const Shape& window, const WindowOptions& options = {});

/// Largest element of each window; NaN where there is one. The padding is the type's smallest
/// value. Types: any but c64; result as the tensor. Throws: TypeError; ShapeError, ArgumentError
/// when window and options don't fit the tensor. Nx: Nx.window_max
///
///     window_max(tensor({1, 3, 2, 4}), {2}, {.padding = Padding::same()});  // s32[4] [3, 3, 4, 4]
Tensor window_max(const Tensor& tensor, const Shape& window, const WindowOptions& options = {});

/// Smallest element of each window; NaN where there is one. The padding is the type's largest
/// value. Types: any but c64; result as the tensor. Throws: TypeError; ShapeError, ArgumentError
/// when window and options don't fit the tensor. Nx: Nx.window_min
///
///     window_min(tensor({1, 3, 2, 4}), {2}, {.padding = {{1, 0}}});  // s32[4] [1, 1, 2, 2]
Tensor window_min(const Tensor& tensor, const Shape& window, const WindowOptions& options = {});

/// Folds each window with a function, in row-major order, starting with the scalar `accumulator`,
/// which is also the padding. A window op with a name of its own is much faster.
/// Types: result as the tensor. Throws: ShapeError, ArgumentError when window and options don't fit
/// the tensor, the accumulator is no scalar, or the function changes the shape. Nx:
/// Nx.window_reduce
///
///     window_reduce(tensor({1, 2, 3}), 0, {2}, add);  // s32[2] [3, 5]
Tensor window_reduce(const Tensor& tensor, const Tensor& accumulator, const Shape& window,
                     const Reducer& function, const WindowOptions& options = {});

/// Options of `window_scatter_max` and `window_scatter_min`; the defaults are Nx's.
struct WindowScatterOptions {
  Padding padding = {};
  std::optional<Axes> strides = {};  ///< steps from window to window; none: 1
};

/// A tensor full of the scalar `init_value`, to which each element of `source` is added at the
/// place of its window's largest element: the last of equal ones, and none when that is padding,
/// which holds `init_value` too. The gradient of `window_max`. Shapes: `source` has one element per
/// window; result as `tensor`. Types: any but c64; result the merge of `source` and `init_value`.
/// Throws: TypeError; ShapeError, ArgumentError when window, source and options don't fit the
/// tensor. Nx: Nx.window_scatter_max
///
///     window_scatter_max(tensor({1, 3, 2, 4}), tensor({5, 6}), 0, {2}, {.strides = Axes{2}});
///     // s32[4] [0, 5, 0, 6]
Tensor window_scatter_max(const Tensor& tensor, const Tensor& source, const Tensor& init_value,
                          const Shape& window, const WindowScatterOptions& options = {});

/// As `window_scatter_max`, at the place of each window's smallest element.
/// Nx: Nx.window_scatter_min
///
///     window_scatter_min(tensor({1, 3, 2, 4}), tensor({5, 6}), 0, {2}, {.strides = Axes{2}});
///     // s32[4] [5, 0, 6, 0]
Tensor window_scatter_min(const Tensor& tensor, const Tensor& source, const Tensor& init_value,
                          const Shape& window, const WindowScatterOptions& options = {});

}  // namespace mlxnx
