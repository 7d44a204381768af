// window_scatter_max and window_scatter_min: the gradient of max pooling and its mirror image.
#include <array>
#include <limits>
#include <optional>
#include <string>

#include "mlxc/engine.h"
#include "mlxc/stream.h"
#include "ops/index_values.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"
#include "ops/window_geometry.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Whether the first argument wins against the second, or ties with it.
using Wins = Array (*)(const Array&, const Array&);

OutputTypes infer_scatter(const Call& call) {
  const WindowGeometry geometry = window_geometry(call);
  if (call.shape(1) != geometry.output) {
    call.shape_error("the source has shape " + to_string(call.shape(1)) + ", and there are " +
                     to_string(geometry.output) + " windows");
  }
  if (call.rank(2) != 0)
    call.shape_error("the initial value must be a scalar, got " + to_string(call.type(2)));
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (is_complex(call.dtype(i)))
      call.type_error("complex numbers have no order; got " + to_string(call.type(i)));
  }
  return {{merge(call.dtype(1), call.dtype(2)), call.shape(0)}};
}

DType widened(DType type) { return type == DType::f16 || type == DType::bf16 ? DType::f32 : type; }

// An element of each window and its position in the flat operand; -1 in the padding.
struct Candidate {
  Array value, position;
};

Candidate better(const Candidate& sooner, const Candidate& later, Wins wins) {
  Array is_better = wins(later.value, sooner.value);
  if (is_float(sooner.value.dtype()))
    is_better = mlxc::logical_or(is_better, mlxc::isnan(sooner.value));
  return {mlxc::where(is_better, later.value, sooner.value),
          mlxc::where(is_better, later.position, sooner.position)};
}

// The last of the best elements of each window in row-major order, found along one axis after the
// other, from the last axis on. NaN is never better than a number, but in Nx nothing beats one in
// the first place of a window.
Array best_positions(const Candidate& padded, const WindowGeometry& geometry, Wins wins) {
  Candidate best = padded;
  Shape shape = geometry.padded;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto at = [&](std::int64_t i) {
      return Candidate{elements_along(best.value, shape, geometry, axis, i),
                       elements_along(best.position, shape, geometry, axis, i)};
    };
    Candidate along = at(0);
    for (std::int64_t i = 1; i < geometry.window[axis]; ++i) along = better(along, at(i), wins);
    best = along;
    shape[axis] = geometry.output[axis];
  }
  if (!is_float(padded.value.dtype())) return best.position;
  const Axes first(shape.size(), 0);
  return mlxc::where(mlxc::isnan(elements_at(padded.value, geometry, first)),
                     elements_at(padded.position, geometry, first), best.position);
}

Candidate padded_operand(const Call& call, const WindowGeometry& geometry) {
  const Shape& shape = call.shape(0);
  const DType type = geometry.is_padded() ? merge(call.dtype(0), call.dtype(2)) : call.dtype(0);
  const DType wide = widened(type);
  const std::int64_t size = element_count(shape);
  const DType index = size <= std::numeric_limits<std::int32_t>::max() ? DType::s32 : DType::s64;
  const Array positions =
      mlxc::reshape(mlxc::arange(0.0, static_cast<double>(size), 1.0, index), shape);
  return {pad_edges(operand_as(call, 0, wide), shape, geometry, operand_as(call, 2, wide)),
          pad_edges(positions, shape, geometry, mlxc::scalar(std::int64_t{-1}, index))};
}

template <Wins wins>
Array scatter(const Call& call) {
  const TensorType& output = call.output();
  const DType type = widened(output.dtype);
  const std::int64_t size = element_count(output.shape);
  std::optional<mlxc::StreamScope> cpu;
  if (must_scatter_on_cpu(type, true)) cpu.emplace(mlxc::Engine::current().stream(Device::kCpu));
  const Array start = operand_as(call, 2, type);
  if (size == 0) return mlxc::broadcast_to(start, output.shape);
  const WindowGeometry geometry = window_geometry(call);
  const Candidate padded = padded_operand(call, geometry);
  const std::int64_t windows = element_count(geometry.output);
  Array positions = mlxc::reshape(best_positions(padded, geometry, wins), {windows});
  Array source = mlxc::reshape(operand_as(call, 1, type), {windows});
  if (geometry.is_padded()) {
    const Array none = mlxc::scalar(std::int64_t{0}, positions.dtype());
    source = mlxc::where(mlxc::less(positions, none), mlxc::scalar(std::int64_t{0}, type), source);
    positions = mlxc::maximum(positions, none);
  }
  const Array target = mlxc::broadcast_to(start, {size});
  const Array sums =
      mlxc::scatter_add(target, {&positions, 1}, mlxc::reshape(source, {windows, 1}), {0});
  return mlxc::reshape(sums, output.shape);
}

OpDef row(std::string_view name, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kWindow,
          .min_operands = 3,
          .max_operands = 3,
          .attrs = window_attrs(false),
          .infer = infer_scatter,
          .eval = eval,
          .doc = doc};
}

const std::array kWindowScatterOps = {
    row("window_scatter_max", scatter<mlxc::greater_equal>,
        "Adds each element of the source (second operand) to the place of its window's largest "
        "element; the rest holds the initial value (third operand)."),
    row("window_scatter_min", scatter<mlxc::less_equal>,
        "Adds each element of the source (second operand) to the place of its window's smallest "
        "element; the rest holds the initial value (third operand)."),
};

}  // namespace

std::span<const OpDef> window_scatter_ops() { return kWindowScatterOps; }

}  // namespace mlxnx::ops
