// Reductions over sliding windows. Sums, products and extremes work along one axis after the other,
// where a window's elements are shifted views of the operand: for a window of 3 by 3 that is four
// element-wise ops instead of a reduction of nine times as many elements.
#include <array>
#include <limits>
#include <string>

#include "ops/axis_views.h"
#include "ops/function.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"
#include "ops/window_geometry.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;
using Combine = Array (*)(const Array&, const Array&);

Shape windows(const Call& call) { return window_geometry(call).output; }

OutputTypes infer_window_extreme(const Call& call) {
  require_order(call);
  return {{call.dtype(0), windows(call)}};
}

// What each op pads with.
Array zero(DType type) { return mlxc::scalar(std::int64_t{0}, type); }
Array one(DType type) { return mlxc::scalar(std::int64_t{1}, type); }

Array smallest(DType type) {
  if (is_float(type)) return mlxc::scalar(-std::numeric_limits<double>::infinity(), type);
  if (is_unsigned(type)) return zero(type);
  return mlxc::scalar(std::numeric_limits<std::int64_t>::min() >> (64 - bits(type)), type);
}

Array largest(DType type) {
  if (is_float(type)) return mlxc::scalar(std::numeric_limits<double>::infinity(), type);
  if (is_unsigned(type)) return mlxc::scalar(std::int64_t{-1}, type);
  return mlxc::scalar(std::numeric_limits<std::int64_t>::max() >> (64 - bits(type)), type);
}

// Above this length, partial results over 1, 2, 4, … elements cost less than one op per element.
constexpr std::int64_t kLongWindow = 16;

Array combine_long(Array part, Shape shape, const WindowGeometry& geometry, std::size_t axis,
                   Combine combine) {
  Array result;
  std::int64_t done = 0;
  std::int64_t length =
      1;  // `part` holds at each place the result of this many elements from there
  for (std::int64_t left = geometry.window[axis]; left != 0; left /= 2) {
    if (left % 2 == 1) {
      const Array next = elements_along(part, shape, geometry, axis, done);
      result = result.empty() ? next : combine(result, next);
      done += length;
    }
    if (left == 1) break;
    const std::int64_t shift = length * geometry.dilations[axis];
    const std::int64_t size = shape[axis] - shift;
    const auto at = static_cast<std::int64_t>(axis);
    part = combine(slice_axis(part, shape, at, 0, size), slice_axis(part, shape, at, shift, size));
    shape[axis] = size;
    length *= 2;
  }
  return result;
}

Array combine_axis(const Array& array, const Shape& shape, const WindowGeometry& geometry,
                   std::size_t axis, Combine combine) {
  if (geometry.window[axis] > kLongWindow)
    return combine_long(array, shape, geometry, axis, combine);
  Array result = elements_along(array, shape, geometry, axis, 0);
  for (std::int64_t i = 1; i < geometry.window[axis]; ++i)
    result = combine(result, elements_along(array, shape, geometry, axis, i));
  return result;
}

// `array` padded with `edge`, and each of its windows combined to one element.
Array combine_windows(const Array& array, const Shape& operand_shape,
                      const WindowGeometry& geometry, const Array& edge, Combine combine) {
  Array result = pad_edges(array, operand_shape, geometry, edge);
  Shape shape = geometry.padded;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (geometry.window[axis] == 1 && geometry.strides[axis] == 1) continue;
    result = combine_axis(result, shape, geometry, axis, combine);
    shape[axis] = geometry.output[axis];
  }
  return result;
}

template <Combine combine, Array (*neutral)(DType)>
Array reduce_windows(const Call& call) {
  const WindowGeometry geometry = window_geometry(call);
  const bool half = call.dtype(0) == DType::f16 || call.dtype(0) == DType::bf16;
  const DType type = half ? DType::f32 : call.dtype(0);
  const Array operand = half ? operand_as(call, 0, type) : ops::operand(call, 0);
  return combine_windows(operand, call.shape(0), geometry, neutral(type), combine);
}

// An infinity ends in NaN, as in `product`.
Array window_product(const Call& call) {
  const Array result = reduce_windows<mlxc::multiply, one>(call);
  if (!is_complex(call.dtype(0))) return result;
  const Array finite =
      combine_windows(complex_is_finite(operand(call, 0)), call.shape(0), window_geometry(call),
                      mlxc::asbool(mlxc::scalar(std::int64_t{1}, DType::u8)), mlxc::logical_and);
  return mlxc::where(finite, result, complex_nan());
}

// Windows with a function.

OutputTypes infer_window_reduce(const Call& call) {
  if (call.rank(1) != 0)
    call.shape_error("the accumulator must be a scalar, got " + to_string(call.type(1)));
  return {{call.dtype(0), windows(call)}};
}

// The next position in row-major order; false after the last.
bool advance(Axes& position, const Axes& limits) {
  for (std::size_t i = position.size(); i-- > 0;) {
    if (++position[i] < limits[i]) return true;
    position[i] = 0;
  }
  return false;
}

Array eval_window_reduce(const Call& call) {
  const WindowGeometry geometry = window_geometry(call);
  check_steps(call, element_count(geometry.window));
  const DType type = call.dtype(0);
  const Array start = operand_as(call, 1, type);
  const Array padded = pad_edges(operand(call, 0), call.shape(0), geometry, start);
  Array result = mlxc::broadcast_to(start, geometry.output);
  Axes position(call.rank(0), 0);
  do {
    result = apply_function(call, elements_at(padded, geometry, position), result, type);
  } while (advance(position, geometry.window));
  return result;
}

const std::array<AttrDef, 5> kWindowFunctionAttrs = {{
    {.name = "fun", .kind = AttrKind::kFunction},
    window_attrs(true)[0],
    window_attrs(true)[1],
    window_attrs(true)[2],
    window_attrs(true)[3],
}};

OpDef window(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kWindow,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = window_attrs(true),
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

constexpr InferFn kOfWindows = infer<windows, types::same>;

const std::array kWindowOps = {
    window("window_sum", kOfWindows, reduce_windows<mlxc::add, zero>,
           "Sum of each window; integers wrap; the padding is 0."),
    window("window_product", kOfWindows, window_product,
           "Product of each window; integers wrap; the padding is 1."),
    window("window_max", infer_window_extreme, reduce_windows<mlxc::maximum, smallest>,
           "Largest element of each window, NaN where there is one; the padding is the type's "
           "smallest value."),
    window("window_min", infer_window_extreme, reduce_windows<mlxc::minimum, largest>,
           "Smallest element of each window, NaN where there is one; the padding is the type's "
           "largest value."),
    OpDef{.name = "window_reduce",
          .group = Group::kWindow,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = kWindowFunctionAttrs,
          .infer = infer_window_reduce,
          .eval = eval_window_reduce,
          .doc = "Folds each window with a function (element, accumulator) -> accumulator, in "
                 "row-major order, from the second operand on, which is also the padding."},
};

}  // namespace

std::span<const OpDef> window_ops() { return kWindowOps; }

}  // namespace mlxnx::ops
