// Sorting along an axis, and the largest elements. Every sort is stable, as Nx's reference backend
// is, also where Nx does not promise it. NaN counts as larger than everything.
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "mlxc/kernel_node.h"
#include "mlxc/order_kernels.h"
#include "ops/axis_views.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// From this size on, half floats are sorted as f32: MLX's CPU converts them at every comparison.
constexpr std::int64_t kManyToSort = 1024;

std::int64_t sorted_axis(const Call& call) {
  return normalise_axis(call, call.attr<std::int64_t>("axis"), call.shape(0));
}

bool is_descending(const Call& call) {
  const std::string& direction = call.attr<std::string>("direction");
  if (direction != "asc" && direction != "desc")
    call.argument_error("direction is \"asc\" or \"desc\", got \"" + direction + "\"");
  return direction == "desc";
}

void check(const Call& call) {
  require_order(call);
  sorted_axis(call);
  is_descending(call);
}

OutputTypes infer_sort(const Call& call) {
  check(call);
  return {call.type(0)};
}

OutputTypes infer_argsort(const Call& call) {
  check(call);
  return {{call.attr<DType>("type"), call.shape(0)}};
}

Array sortable(const Call& call) {
  const bool half = call.dtype(0) == DType::f16 || call.dtype(0) == DType::bf16;
  const bool many = element_count(call.shape(0)) >= kManyToSort;
  return half && many ? operand_as(call, 0, DType::f32) : operand(call, 0);
}

// Whether a kernel of our own puts in order what is too large to be computed at once.
bool is_sorted_by_kernel(const Call& call) {
  return element_count(call.shape(0)) > kManyToSort && on_cpu() && mlxc::has_kernels();
}

// Descending is ascending backwards; from a reversed operand, so that equals keep their order.
Array eval_sort(const Call& call) {
  const Shape& shape = call.shape(0);
  if (element_count(shape) == 0) return operand(call, 0);
  const std::int64_t axis = sorted_axis(call);
  const int at = static_cast<int>(axis);
  if (is_sorted_by_kernel(call)) return mlxc::sort_runs(operand(call, 0), at, is_descending(call));
  const Array array = sortable(call);
  if (!is_descending(call)) return mlxc::sort(array, at);
  // Only floats have equals that differ: the two zeros.
  const Array backwards = is_float(call.dtype(0)) ? reverse_axis(array, shape, axis) : array;
  return reverse_axis(mlxc::sort(backwards, at), shape, axis);
}

Array argsort(const Array& array, const Shape& shape, std::int64_t axis, bool descending) {
  const int at = static_cast<int>(axis);
  if (!descending) return mlxc::argsort(array, at);
  const Array backwards = mlxc::argsort(reverse_axis(array, shape, axis), at);
  const Array last = mlxc::scalar(shape[static_cast<std::size_t>(axis)] - 1, DType::u32);
  return mlxc::subtract(last, reverse_axis(backwards, shape, axis));
}

Array no_positions(const TensorType& type) {
  return mlxc::broadcast_to(mlxc::scalar(std::int64_t{0}, type.dtype), type.shape);
}

Array eval_argsort(const Call& call) {
  if (element_count(call.shape(0)) == 0) return no_positions(call.output());
  if (is_sorted_by_kernel(call)) {
    const DType type = call.output().dtype == DType::s32 ? DType::s32 : DType::u32;
    return mlxc::argsort_runs(operand(call, 0), static_cast<int>(sorted_axis(call)),
                              is_descending(call), type);
  }
  return argsort(sortable(call), call.shape(0), sorted_axis(call), is_descending(call));
}

// The largest elements of the last axis.

OutputTypes infer_top_k(const Call& call) {
  require_order(call);
  const std::int64_t k = call.attr<std::int64_t>("k");
  if (call.rank(0) == 0)
    call.shape_error("expected a tensor of rank 1 or more, got " + to_string(call.type(0)));
  if (k < 1) call.argument_error("k must be at least 1, got " + std::to_string(k));
  Shape shape = call.shape(0);
  if (shape.back() < k) {
    call.shape_error("k is " + std::to_string(k) + ", and the last axis of shape " +
                     to_string(shape) + " has only " + std::to_string(shape.back()) + " elements");
  }
  shape.back() = k;
  return {{call.dtype(0), shape}, {DType::s32, shape}};
}

// Integers that order a float's values from the largest to the smallest: NaN first, both zeros
// alike.
Array descending_float_keys(const Array& array) {
  const bool is_double = array.dtype() == DType::f64;
  const DType type = is_double ? DType::s64 : DType::s32;
  const Array lowest =
      is_double ? mlxc::scalar(std::numeric_limits<std::int64_t>::min(), type)
                : mlxc::scalar(std::int64_t{std::numeric_limits<std::int32_t>::min()}, type);
  const Array zero = mlxc::scalar(std::int64_t{0}, array.dtype());
  const Array bits = mlxc::view(mlxc::add(array, zero), type);
  const Array is_negative = mlxc::less(bits, mlxc::scalar(std::int64_t{0}, type));
  const Array keys =
      mlxc::where(is_negative, mlxc::bitwise_xor(bits, lowest), mlxc::bitwise_invert(bits));
  return mlxc::where(mlxc::isnan(array), lowest, keys);
}

// Positions of the k largest, in order. For a long axis: first which ones, in one linear pass, in
// which MLX lets the lower position win among equals; then only those are sorted.
Array top_positions(const Call& call, const Shape& shape, std::int64_t k) {
  const auto axis = static_cast<std::int64_t>(shape.size()) - 1;
  const int at = static_cast<int>(axis);
  if (is_sorted_by_kernel(call)) {
    const Array array = operand(call, 0);
    return k <= shape.back() / 4
               ? mlxc::top_of_rows(array, static_cast<int>(k))
               : slice_axis(mlxc::argsort_runs(array, at, true, DType::s32), shape, axis, 0, k);
  }
  if (shape.back() < kManyToSort || k > shape.back() / 8) {
    const Array order = argsort(sortable(call), shape, axis, true);
    return slice_axis(order, shape, axis, 0, k);
  }
  const bool half = call.dtype(0) == DType::f16 || call.dtype(0) == DType::bf16;
  const Array keys =
      is_float(call.dtype(0))
          ? descending_float_keys(half ? operand_as(call, 0, DType::f32) : operand(call, 0))
          : mlxc::bitwise_invert(operand(call, 0));
  const Array chosen = mlxc::sort(
      slice_axis(mlxc::argpartition(keys, static_cast<int>(k) - 1, at), shape, axis, 0, k), at);
  const Array order = mlxc::argsort(mlxc::take_along_axis(keys, chosen, at), at);
  return mlxc::take_along_axis(chosen, order, at);
}

std::vector<Array> eval_top_k(const Call& call) {
  const Shape& shape = call.shape(0);
  const Shape& output = call.output(0).shape;
  if (element_count(output) == 0)
    return {no_positions({call.dtype(0), output}), no_positions(call.output(1))};
  const Array positions = top_positions(call, shape, output.back());
  const int axis = static_cast<int>(shape.size()) - 1;
  return {mlxc::take_along_axis(operand(call, 0), positions, axis), positions};
}

const std::array<AttrDef, 3> kSortAttrs = {{
    {.name = "axis", .kind = AttrKind::kInt, .fallback = AttrValue(std::int64_t{0})},
    {.name = "direction", .kind = AttrKind::kString, .fallback = AttrValue(std::string("asc"))},
    {.name = "stable", .kind = AttrKind::kBool, .fallback = AttrValue(false)},
}};

const std::array<AttrDef, 4> kArgsortAttrs = {{
    kSortAttrs[0],
    kSortAttrs[1],
    kSortAttrs[2],
    {.name = "type", .kind = AttrKind::kType, .fallback = AttrValue(DType::s32)},
}};

const std::array<AttrDef, 1> kTopKAttrs = {{
    {.name = "k", .kind = AttrKind::kInt, .fallback = AttrValue(std::int64_t{1})},
}};

const std::array kSortOps = {
    OpDef{.name = "sort",
          .group = Group::kSort,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = kSortAttrs,
          .infer = infer_sort,
          .eval = eval_sort,
          .doc = "Elements in order along an axis; NaN counts as the largest."},
    OpDef{.name = "argsort",
          .group = Group::kSort,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = kArgsortAttrs,
          .infer = infer_argsort,
          .eval = eval_argsort,
          .doc = "Positions that put an axis in order; equal elements keep their order."},
    OpDef{.name = "block:TopK",
          .group = Group::kSort,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = kTopKAttrs,
          .infer = infer_top_k,
          .eval_many = eval_top_k,
          .doc = "The k largest elements of the last axis, largest first, and their positions."},
};

}  // namespace

std::span<const OpDef> sort_ops() { return kSortOps; }

}  // namespace mlxnx::ops
