// Tensors whose elements do not lie row by row: MLX's kernels see strides, offsets and gaps that
// data from outside never has, but results of other ops do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "mlxnx/tensor.h"

namespace mlxnx::cli {

/// How the elements of a tensor lie in memory. A tensor without elements lies in rows always.
enum class Layout : std::uint8_t {
  kRow,        ///< row by row, without gaps
  kReversed,   ///< the last axis outermost, the first innermost: a transposed view
  kPermuted,   ///< the last axis outermost, the others in their order: a transposed view
  kStrided,    ///< every second element, along each axis, of a larger buffer
  kSliced,     ///< a window into a buffer that is larger at both ends of each axis
  kBroadcast,  ///< axes along which all elements are equal, and those of size 1, have stride 0
  kFlipped,    ///< each axis backwards, with a negative stride
};
inline constexpr std::array kLayouts = {Layout::kRow,     Layout::kReversed, Layout::kPermuted,
                                        Layout::kStrided, Layout::kSliced,   Layout::kBroadcast,
                                        Layout::kFlipped};

std::string_view name(Layout layout);

/// A computed tensor of `type` with the elements `bytes`, which are given row-major.
/// Throws: ShapeError when `bytes` is not as long as `type` says.
Tensor lay_out(std::span<const std::byte> bytes, const TensorType& type, Layout layout);

}  // namespace mlxnx::cli
