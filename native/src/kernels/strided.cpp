#include "kernels/strided.h"

#include <algorithm>
#include <optional>

namespace mlxnx::kernels {
namespace {

constexpr std::int64_t kManyElements = 1 << 14;
// Lines that a block reads and writes, which even caches of few ways hold side by side.
constexpr std::int64_t kBlock = 8;
// Of the axis that lies in lines, in each part.
constexpr std::int64_t kStretch = 64;

using Dims = std::span<const std::int64_t>;

// The axis whose elements lie one after the other.
std::optional<std::size_t> inner_axis(Dims shape, Dims strides) {
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (strides[axis] == 1 && shape[axis] >= kBlock) return axis;
  }
  return std::nullopt;
}

template <typename T>
void copy_block(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t column_stride,
                T* out, std::int64_t out_stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) out[i * out_stride + j] = x[i + j * column_stride];
  }
}

// Elements [first, end) of the axis that lies in lines, of one position of the axes that are
// neither that nor the last one.
template <typename T>
void copy_stretch(const T* x, std::int64_t first, std::int64_t end, std::int64_t columns,
                  std::int64_t column_stride, T* out, std::int64_t out_stride) {
  for (std::int64_t i = first; i < end; i += kBlock) {
    const std::int64_t rows = std::min(kBlock, end - i);
    std::int64_t j = 0;
    for (; rows == kBlock && j + kBlock <= columns; j += kBlock)
      copy_block(x + i + j * column_stride, kBlock, kBlock, column_stride, out + i * out_stride + j,
                 out_stride);
    if (j < columns)
      copy_block(x + i + j * column_stride, rows, columns - j, column_stride,
                 out + i * out_stride + j, out_stride);
  }
}

}  // namespace

bool should_be_copied(Dims shape, Dims strides) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  if (count < kManyElements || strides.back() == 1 || strides.back() == 0 || shape.back() < kBlock)
    return false;
  return inner_axis(shape, strides).has_value();
}

std::int64_t copied_parts(Dims shape, Dims strides) {
  const std::size_t inner = *inner_axis(shape, strides);
  std::int64_t parts = (shape[inner] + kStretch - 1) / kStretch;
  for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) {
    if (axis != inner) parts *= shape[axis];
  }
  return parts;
}

void copy_in_rows(std::size_t size, const void* x, Dims shape, Dims strides, void* out,
                  std::int64_t part) {
  const std::size_t inner = *inner_axis(shape, strides);
  const std::size_t last = shape.size() - 1;
  const std::int64_t stretches = (shape[inner] + kStretch - 1) / kStretch;
  const std::int64_t first = part % stretches * kStretch;
  const std::int64_t end = std::min(first + kStretch, shape[inner]);
  std::int64_t left = part / stretches, from = 0, to = 0, step = shape[last], inner_step = 0;
  for (std::size_t axis = last; axis-- > 0;) {
    if (axis == inner) {
      inner_step = step;
    } else {
      const std::int64_t at = left % shape[axis];
      left /= shape[axis];
      from += at * strides[axis];
      to += at * step;
    }
    step *= shape[axis];
  }
  const auto copy = [&]<typename T>(T) {
    copy_stretch(static_cast<const T*>(x) + from, first, end, shape[last], strides[last],
                 static_cast<T*>(out) + to, inner_step);
  };
  switch (size) {
    case 1:
      return copy(std::uint8_t{});
    case 2:
      return copy(std::uint16_t{});
    case 4:
      return copy(std::uint32_t{});
    default:
      return copy(std::uint64_t{});
  }
}

}  // namespace mlxnx::kernels
