#include "ops/index_values.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "mlxc/graph.h"
#include "mlxc/index_kernels.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"
#include "tensor/element.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Calls `visit` with the integers at `data` under their C++ type.
template <typename Visit>
auto with_integers(DType type, const void* data, Visit visit) {
  switch (type) {
    case DType::u8:
      return visit(static_cast<const std::uint8_t*>(data));
    case DType::u16:
      return visit(static_cast<const std::uint16_t*>(data));
    case DType::u32:
      return visit(static_cast<const std::uint32_t*>(data));
    case DType::u64:
      return visit(static_cast<const std::uint64_t*>(data));
    case DType::s8:
      return visit(static_cast<const std::int8_t*>(data));
    case DType::s16:
      return visit(static_cast<const std::int16_t*>(data));
    case DType::s32:
      return visit(static_cast<const std::int32_t*>(data));
    default:
      return visit(static_cast<const std::int64_t*>(data));
  }
}

// Compares in the index's own width, which the compiler can do for many at once.
template <typename Int>
bool is_inside(Int index, std::int64_t size) {
  using Unsigned = std::make_unsigned_t<Int>;
  constexpr std::int64_t kMax = std::is_same_v<Int, std::uint64_t>
                                    ? std::numeric_limits<std::int64_t>::max()
                                    : static_cast<std::int64_t>(std::numeric_limits<Int>::max());
  if (size > kMax) return index >= 0;
  return static_cast<Unsigned>(index) < static_cast<Unsigned>(size);
}

template <typename Int>
void check_index(const Call& call, Int index, std::int64_t axis, const Shape& shape) {
  if (is_inside(index, shape[static_cast<std::size_t>(axis)])) return;
  call.value_error("index " + std::to_string(index) + " is out of bounds for axis " +
                   std::to_string(axis) + " in shape " + to_string(shape));
}

std::int64_t largest_index(DType type) {
  const int value_bits = bits(type) - (is_unsigned(type) ? 0 : 1);
  return value_bits >= 63 ? std::numeric_limits<std::int64_t>::max()
                          : (std::int64_t{1} << value_bits) - 1;
}

Array array_of(const Axes& values, DType type) {
  std::vector<std::byte> bytes(values.size() * size_bytes(type));
  for (std::size_t i = 0; i < values.size(); ++i)
    tensors::encode(Number(values[i]), type, bytes.data() + i * size_bytes(type));
  const mlxc::Ints shape{static_cast<std::int64_t>(values.size())};
  return mlxc::from_bytes(bytes.data(), std::span(shape.data(), shape.size()), mlxc::to_mlx(type));
}

// Known indices, checked, as columns of s32: MLX's dimensions fit it.
std::vector<Array> known_columns(const Call& call, std::size_t i, const Axes& axes,
                                 const Shape& shape, const Shape& outer) {
  const std::size_t width = axes.size();
  const auto rows = static_cast<std::size_t>(element_count(outer));
  const mlxc::Ints dims(outer);
  std::vector<Array> columns;
  columns.reserve(width);
  std::vector<std::int32_t> column(rows);
  with_integers(call.dtype(i), call.operands[i].known_data, [&](const auto* values) {
    for (std::size_t c = 0; c < width; ++c) {
      for (std::size_t row = 0; row < rows; ++row) {
        const auto index = values[row * width + c];
        check_index(call, index, axes[c], shape);
        column[row] = static_cast<std::int32_t>(index);
      }
      columns.push_back(mlxc::from_bytes(column.data(), std::span(dims.data(), dims.size()),
                                         mlxc::to_mlx(DType::s32)));
    }
  });
  return columns;
}

// Known indices, checked, as positions.
Array known_positions(const Call& call, std::size_t i, const Shape& shape) {
  const std::size_t width = shape.size();
  const Axes strides = row_major_strides(shape);
  const std::int64_t count = element_count(call.shape(i)) / static_cast<std::int64_t>(width);
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
  with_integers(call.dtype(i), call.operands[i].known_data, [&](const auto* index) {
    for (std::int32_t& position : positions) {
      std::int64_t sum = 0;
      for (std::size_t axis = 0; axis < width; ++axis, ++index) {
        check_index(call, *index, static_cast<std::int64_t>(axis), shape);
        sum += static_cast<std::int64_t>(*index) * strides[axis];
      }
      position = static_cast<std::int32_t>(sum);
    }
  });
  const mlxc::Ints dims{count};
  return mlxc::from_bytes(positions.data(), std::span(dims.data(), dims.size()),
                          mlxc::to_mlx(DType::s32));
}

// The largest valid index of each axis.
Axes last_indices(const Shape& shape, const Axes& axes) {
  Axes last;
  for (const std::int64_t axis : axes) last.push_back(shape[static_cast<std::size_t>(axis)] - 1);
  return last;
}

}  // namespace

bool has_flat_positions(const Shape& shape) {
  return element_count(shape) <= std::numeric_limits<std::int32_t>::max();
}

Array safe_positions(const Call& call, std::size_t i, const Shape& shape) {
  if (shape.size() == 1) return mlxc::reshape(safe_indices(call, i, 0, shape), {-1});
  if (call.operands[i].known_data != nullptr) return known_positions(call, i, shape);
  const DType type = call.dtype(i);
  const Array clamped =
      clamp_indices(operand(call, i), type, last_indices(shape, all_axes(shape.size())));
  const Array weighted = mlxc::multiply(convert(clamped, type, DType::s32),
                                        array_of(row_major_strides(shape), DType::s32));
  const Array sums = mlxc::sum(weighted, {static_cast<std::int64_t>(call.rank(i)) - 1});
  return mlxc::reshape(sums, {-1});
}

void require_integers(const Call& call, std::size_t i) {
  if (is_integer(call.dtype(i))) return;
  call.type_error("indices must be integers, got " + to_string(call.type(i)));
}

std::optional<std::int64_t> known_integer(const Call& call, std::size_t i) {
  const void* data = call.operands[i].known_data;
  if (data == nullptr) return std::nullopt;
  return with_integers(call.dtype(i), data, [](const auto* value) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    return std::cmp_greater(*value, kMax) ? kMax : static_cast<std::int64_t>(*value);
  });
}

Array clamp_indices(const Array& indices, DType type, const Axes& last) {
  Axes limits;
  for (const std::int64_t value : last) limits.push_back(std::min(value, largest_index(type)));
  const Array lifted =
      is_unsigned(type) ? indices : mlxc::maximum(indices, mlxc::scalar(std::int64_t{0}, type));
  const bool can_exceed = std::any_of(limits.begin(), limits.end(), [type](std::int64_t limit) {
    return limit < largest_index(type) || type == DType::u64;
  });
  if (!can_exceed) return lifted;
  return mlxc::minimum(lifted,
                       limits.size() == 1 ? mlxc::scalar(limits[0], type) : array_of(limits, type));
}

Array safe_indices(const Call& call, std::size_t i, std::int64_t axis, const Shape& shape) {
  const Array indices = operand(call, i);
  const void* data = call.operands[i].known_data;
  if (data == nullptr)
    return clamp_indices(indices, call.dtype(i), {shape[static_cast<std::size_t>(axis)] - 1});
  const std::int64_t count = element_count(call.shape(i));
  const std::int64_t size = shape[static_cast<std::size_t>(axis)];
  with_integers(call.dtype(i), data, [&](const auto* values) {
    bool all_inside = true;
    for (std::int64_t at = 0; at < count; ++at) all_inside &= is_inside(values[at], size);
    for (std::int64_t at = 0; at < count && !all_inside; ++at)
      check_index(call, values[at], axis, shape);
  });
  return indices;
}

Array checked_indices(const Call& call, std::size_t i, const Axes& axes, const Shape& shape) {
  if (call.operands[i].known_data == nullptr) return operand(call, i);
  const std::size_t width = axes.size();
  const auto count = static_cast<std::size_t>(element_count(call.shape(i)));
  Shape sizes;
  for (const std::int64_t axis : axes) sizes.push_back(shape[static_cast<std::size_t>(axis)]);
  const void* const data = call.operands[i].known_data;
  if (!mlxc::are_inside(data, mlxc::to_mlx(call.dtype(i)), static_cast<std::int64_t>(count / width),
                        sizes)) {
    with_integers(call.dtype(i), data, [&](const auto* values) {
      for (std::size_t at = 0; at < count; ++at)
        check_index(call, values[at], axes[at % width], shape);
    });
  }
  return operand(call, i);
}

std::vector<Array> safe_index_columns(const Call& call, std::size_t i, const Axes& axes,
                                      const Shape& shape) {
  Shape outer = call.shape(i);
  outer.pop_back();
  if (axes.size() == 1) return {mlxc::reshape(safe_indices(call, i, axes[0], shape), outer)};
  if (call.operands[i].known_data != nullptr) return known_columns(call, i, axes, shape, outer);
  const Array clamped = clamp_indices(operand(call, i), call.dtype(i), last_indices(shape, axes));
  std::vector<Array> columns;
  Axes start(call.rank(i), 0);
  Axes stop = call.shape(i);
  for (std::size_t c = 0; c < axes.size(); ++c) {
    start.back() = static_cast<std::int64_t>(c);
    stop.back() = start.back() + 1;
    const Array column = mlxc::slice(clamped, start, stop, Axes(start.size(), 1));
    columns.push_back(mlxc::squeeze_axes(column, {static_cast<std::int64_t>(outer.size())}));
  }
  return columns;
}

bool must_scatter_on_cpu(DType type, bool is_sum) {
  if (default_device() == Device::kCpu || size_bytes(type) < 8) return false;
  return !is_complex(type) || !is_sum;
}

}  // namespace mlxnx::ops
