// Reductions: all, any, sum, product, extremes and their positions, and reduce with a function.
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "mlxc/function_fold.h"
#include "mlxc/host_kernels.h"
#include "mlxc/kernel_node.h"
#include "ops/axis_views.h"
#include "ops/float_sum.h"
#include "ops/fold.h"
#include "ops/function.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr Fold kSum = {mlxc::sum, mlxc::add};
constexpr Fold kProduct = {mlxc::prod, mlxc::multiply};
constexpr Fold kMax = {mlxc::max, mlxc::maximum};
constexpr Fold kMin = {mlxc::min, mlxc::minimum};

// From this size on, half floats are reduced as f32: MLX's CPU converts them at every step.
constexpr std::int64_t kManyToReduce = 4096;

bool is_half(DType type) { return type == DType::f16 || type == DType::bf16; }

// Shape rules.

// Sorted; all axes where the attribute is nil.
Axes reduced_axes(const Call& call) {
  const auto* given = call.attr_if<Axes>("axes");
  if (given == nullptr) return all_axes(call.rank(0));
  Axes axes = normalise_axes(call, *given, call.shape(0));
  std::sort(axes.begin(), axes.end());
  return axes;
}

Shape reduced_shape(const Call& call) {
  return remove_axes(call.shape(0), reduced_axes(call), call.attr<bool>("keep_axes"));
}

// An empty run has a sum and a product, but no extreme.
void require_elements(const Call& call, const Axes& axes, const Shape& output) {
  if (count_along(call.shape(0), axes) == 0 && element_count(output) != 0) {
    call.shape_error("there is no extreme among no elements: shape " + to_string(call.shape(0)) +
                     " along axes " + to_string(axes));
  }
}

OutputTypes infer_extreme(const Call& call) {
  require_order(call);
  const Shape shape = reduced_shape(call);
  require_elements(call, reduced_axes(call), shape);
  return {{call.dtype(0), shape}};
}

DType aggregate(const Call& call) { return to_aggregate(call.dtype(0)); }

// Evaluation.

Array filled(const Call& call, std::int64_t value) {
  const TensorType& type = call.output();
  return mlxc::broadcast_to(mlxc::scalar(value, type.dtype), type.shape);
}

// `how` over the call's axes of `array`; `empty` where these have no elements.
Array reduce_with(const Call& call, const Array& array, const Fold& how, std::int64_t empty) {
  const Axes axes = reduced_axes(call);
  if (element_count(call.shape(0)) == 0) return filled(call, empty);
  if (axes.empty()) return array;
  return fold(array, call.shape(0), axes, call.attr<bool>("keep_axes"), how);
}

// Operand 0 in the type that its elements are accumulated in.
Array accumulated_operand(const Call& call, DType type) {
  if (call.dtype(0) == type) return operand(call, 0);
  Array wide = operand_as(call, 0, type);
  wide.set_axis_order(call.array(0).axis_order());
  return wide;
}

Array sum(const Call& call) {
  const Axes axes = reduced_axes(call);
  const bool adds = element_count(call.shape(0)) != 0 && !axes.empty();
  if (!adds || is_integer(call.dtype(0))) return reduce_with(call, operand(call, 0), kSum, 0);
  const DType type = is_half(call.dtype(0)) ? DType::f32 : call.dtype(0);
  return sum_floats(accumulated_operand(call, type), call.shape(0), axes,
                    call.attr<bool>("keep_axes"));
}

// In the widest float, so that the order of the factors decides nothing: one after the other,
// eights and eighths leave f32 on the way to 1. Nx multiplies complex numbers by the textbook, from
// 1 + 0i on, so that an infinity ends in NaN; C++ and MLX repair it.
Array product(const Call& call) {
  const DType type = is_float(call.dtype(0)) ? widest_float() : call.dtype(0);
  const Array result = reduce_with(call, accumulated_operand(call, type), kProduct, 1);
  if (!is_complex(call.dtype(0)) || element_count(call.shape(0)) == 0) return result;
  const Axes axes = reduced_axes(call);
  if (axes.empty()) return result;
  const Array finite =
      mlxc::all(complex_is_finite(operand(call, 0)), axes, call.attr<bool>("keep_axes"));
  return mlxc::where(finite, result, complex_nan());
}

bool is_better_wide(const Call& call) {
  return on_cpu() && is_half(call.dtype(0)) && element_count(call.shape(0)) >= kManyToReduce;
}

template <const Fold& how>
Array extreme(const Call& call) {
  return reduce_with(
      call, is_better_wide(call) ? operand_as(call, 0, DType::f32) : operand(call, 0), how, 0);
}

// MLX 0.31 reduces floats by their bits, where -0.0 would count as true: a mask first.
template <Array (*function)(const Array&, const mlxc::Ints&, bool), std::int64_t empty>
Array truth(const Call& call) {
  const Axes axes = reduced_axes(call);
  if (element_count(call.shape(0)) == 0) return filled(call, empty);
  if (axes.empty()) return operand_mask(call, 0);
  const Array array = is_integer(call.dtype(0)) ? call.array(0) : operand_mask(call, 0);
  return function(array, axes, call.attr<bool>("keep_axes"));
}

// Positions of extremes.

struct Position {
  Array (*find)(const Array& a, int axis, bool keep_axis);
  const Fold& best;
  bool last;    ///< which of equals
  bool floats;  ///< whether there may be NaN
};

Array last_minus(std::int64_t length, const Array& position) {
  return mlxc::subtract(mlxc::scalar(length - 1, DType::u32), position);
}

// In Nx a NaN beats every number, and the last NaN the others; MLX's comparisons pass over NaN.
Array position_in_run(const Array& array, const Shape& shape, std::int64_t axis,
                      const Position& how) {
  const int at = static_cast<int>(axis);
  const std::int64_t length = shape[static_cast<std::size_t>(axis)];
  const Array found = how.last
                          ? last_minus(length, how.find(reverse_axis(array, shape, axis), at, true))
                          : how.find(array, at, true);
  if (!how.floats) return found;
  const Array nan = mlxc::isnan(array);
  const Array last_nan = last_minus(length, mlxc::argmax(reverse_axis(nan, shape, axis), at, true));
  return mlxc::where(mlxc::any(nan, {axis}, true), last_nan, found);
}

// Length of the blocks of a long axis.
constexpr std::int64_t kBlock = 512;

// First the block that holds the extreme, then the place in it: one fast pass over the elements,
// where the search for NaN would need three slow ones. On a GPU these are few, and its time is that
// of starting kernels.
Array position_in_blocks(const Array& array, const Shape& shape, std::int64_t axis,
                         const Position& how) {
  const auto at = static_cast<std::size_t>(axis);
  Shape split = shape;
  split[at] = shape[at] / kBlock;
  split.insert(split.begin() + at + 1, kBlock);
  const Array blocks = mlxc::reshape(array, split);
  const Array best = how.best.reduce(blocks, {axis + 1}, true);
  Shape one_each = split;
  one_each[at + 1] = 1;
  const Array block = position_in_run(best, one_each, axis, how);
  const Array chosen = mlxc::take_along_axis(blocks, block, static_cast<int>(axis));
  Shape one_block = split;
  one_block[at] = 1;
  const Array place = position_in_run(chosen, one_block, axis + 1, how);
  const Array position = mlxc::add(mlxc::multiply(block, mlxc::scalar(kBlock, DType::u32)), place);
  return mlxc::squeeze_axes(position, {axis + 1});
}

Array position(const Array& array, const Shape& shape, std::int64_t axis, const Position& how) {
  const auto at = static_cast<std::size_t>(axis);
  const std::int64_t rest = shape[at] % kBlock;
  if (!how.floats || shape[at] < 4 * kBlock || !on_cpu())
    return position_in_run(array, shape, axis, how);
  if (rest == 0) return position_in_blocks(array, shape, axis, how);
  // Repeating the last element fills the last block without a new extreme.
  const Array last = slice_axis(array, shape, axis, shape[at] - 1, 1);
  Shape filling = shape;
  filling[at] = kBlock - rest;
  Shape filled = shape;
  filled[at] += kBlock - rest;
  const std::array parts = {array, mlxc::broadcast_to(last, filling)};
  const Array found =
      position_in_blocks(mlxc::concatenate(parts, static_cast<int>(axis)), filled, axis, how);
  return mlxc::minimum(found, mlxc::scalar(shape[at] - 1, DType::u32));
}

// The axis to search along; nil is the whole tensor, flat.
std::optional<std::int64_t> searched_axis(const Call& call) {
  const auto* axis = call.attr_if<std::int64_t>("axis");
  if (axis == nullptr) return std::nullopt;
  return normalise_axis(call, *axis, call.shape(0));
}

OutputTypes infer_position(const Call& call) {
  require_order(call);
  const std::string& tie_break = call.attr<std::string>("tie_break");
  if (tie_break != "low" && tie_break != "high")
    call.argument_error("tie_break is \"low\" or \"high\", got \"" + tie_break + "\"");
  const auto axis = searched_axis(call);
  const Axes axes = axis ? Axes{*axis} : all_axes(call.rank(0));
  const Shape shape =
      axis ? remove_axes(call.shape(0), axes, call.attr<bool>("keep_axis")) : Shape{};
  require_elements(call, axes, shape);
  return {{call.attr<DType>("type"), shape}};
}

template <Array (*find)(const Array&, int, bool), const Fold& best>
Array position_of(const Call& call) {
  if (element_count(call.output().shape) == 0) return filled(call, 0);
  Array array = is_better_wide(call) ? operand_as(call, 0, DType::f32) : operand(call, 0);
  Shape shape = call.shape(0);
  const auto axis = searched_axis(call);
  if (!axis && shape.size() != 1) {
    shape = {element_count(shape)};
    array = mlxc::reshape(array, shape);
  }
  const Position how = {find, best, call.attr<std::string>("tie_break") == "high",
                        is_float(call.dtype(0))};
  const std::int64_t along = axis.value_or(0);
  const Array found = position(array, shape, along, how);
  const bool keep = axis && call.attr<bool>("keep_axis");
  return keep ? found : mlxc::squeeze_axes(found, {along});
}

// Reduce with a function.

// An empty list of axes: in Nx the tensor stays as it is, without the accumulator.
bool folds_nothing(const Call& call) {
  const auto* axes = call.attr_if<Axes>("axes");
  return axes != nullptr && axes->empty();
}

OutputTypes infer_reduce(const Call& call) {
  if (call.rank(1) != 0)
    call.shape_error("the accumulator must be a scalar, got " + to_string(call.type(1)));
  if (folds_nothing(call)) return {call.type(0)};
  const auto* type = call.attr_if<DType>("type");
  return {{type != nullptr ? *type : merge(call.dtype(0), call.dtype(1)), reduced_shape(call)}};
}

// `array` with the reduced axes first and row-major, so that each of their positions is one run of
// memory.
Array reduced_axes_first(const Array& array, const Axes& axes, std::size_t rank) {
  Axes order = axes;
  for (const std::int64_t axis : all_axes(rank))
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) order.push_back(axis);
  return order == all_axes(rank) ? array : mlxc::transpose_axes(array, order);
}

// The call's function on the CPU, where kernels of single elements compute it.
std::optional<mlxc::FoldFunction> as_kernels(const Call& call, DType type) {
  const Function& function = *call.attr<std::shared_ptr<const Function>>("fun");
  if (!function.only_builds || !mlxc::builds_kernel_nodes()) return std::nullopt;
  const mlxc::AtOnceScope at_once(false);
  const mlxc::OnlyGraphsScope only_graphs(true);
  const std::uint64_t zero = 0;
  const Array element = mlxc::from_bytes(&zero, {}, mlxc::to_mlx(call.dtype(0)));
  const Array accumulator = mlxc::from_bytes(&zero, {}, mlxc::to_mlx(type));
  const Array result = apply_function(call, element, accumulator, type);
  return mlxc::fold_function(result, element, accumulator, function.captures);
}

Array eval_reduce(const Call& call) {
  if (folds_nothing(call)) return operand(call, 0);
  const Axes axes = reduced_axes(call);
  const TensorType& output = call.output();
  const Shape kept = remove_axes(call.shape(0), axes, false);
  Array result = mlxc::broadcast_to(operand_as(call, 1, output.dtype), kept);
  const std::int64_t steps = count_along(call.shape(0), axes);
  const std::int64_t size = element_count(kept);
  if (steps * size != 0) {
    const Array elements = mlxc::reshape(reduced_axes_first(operand(call, 0), axes, call.rank(0)),
                                         Shape{steps * size});
    if (const auto function = as_kernels(call, output.dtype)) {
      const Array initial = operand_as(call, 1, output.dtype);
      return mlxc::reshape(mlxc::folded(*function, elements, initial, kept, steps), output.shape);
    }
    check_steps(call, steps);
    const Axes strides = row_major_strides(kept);
    for (std::int64_t i = 0; i < steps; ++i) {
      const Array element =
          mlxc::as_strided(elements, kept, strides, static_cast<std::size_t>(i * size));
      result = apply_function(call, element, result, output.dtype);
    }
  }
  return mlxc::reshape(result, output.shape);
}

const std::array<AttrDef, 2> kReduceAttrs = {{
    {.name = "axes", .kind = AttrKind::kInts, .optional = true},
    {.name = "keep_axes", .kind = AttrKind::kBool, .fallback = AttrValue(false)},
}};

const std::array<AttrDef, 4> kPositionAttrs = {{
    {.name = "axis", .kind = AttrKind::kInt, .optional = true},
    {.name = "tie_break", .kind = AttrKind::kString, .fallback = AttrValue(std::string("low"))},
    {.name = "keep_axis", .kind = AttrKind::kBool, .fallback = AttrValue(false)},
    {.name = "type", .kind = AttrKind::kType, .fallback = AttrValue(DType::s32)},
}};

const std::array<AttrDef, 4> kReduceFunctionAttrs = {{
    {.name = "fun", .kind = AttrKind::kFunction},
    {.name = "axes", .kind = AttrKind::kInts, .optional = true},
    {.name = "keep_axes", .kind = AttrKind::kBool, .fallback = AttrValue(false)},
    {.name = "type", .kind = AttrKind::kType, .optional = true},
}};

OpDef reduction(std::string_view name, std::span<const AttrDef> attrs, InferFn infer, EvalFn eval,
                std::string_view doc) {
  return {.name = name,
          .group = Group::kReduction,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kReductionOps = {
    reduction("all", kReduceAttrs, infer<reduced_shape, types::predicate>, truth<mlxc::all, 1>,
              "1 where no element along the axes is zero (NaN is not zero), else 0."),
    reduction("any", kReduceAttrs, infer<reduced_shape, types::predicate>, truth<mlxc::any, 0>,
              "1 where some element along the axes is not zero (NaN is not zero), else 0."),
    reduction("sum", kReduceAttrs, infer<reduced_shape, aggregate>, sum,
              "Sum along the axes; integers become 32 or 64 bits wide and wrap."),
    reduction("product", kReduceAttrs, infer<reduced_shape, aggregate>, product,
              "Product along the axes; integers become 32 or 64 bits wide and wrap."),
    reduction("reduce_max", kReduceAttrs, infer_extreme, extreme<kMax>,
              "Largest element along the axes; NaN where there is one."),
    reduction("reduce_min", kReduceAttrs, infer_extreme, extreme<kMin>,
              "Smallest element along the axes; NaN where there is one."),
    reduction("argmax", kPositionAttrs, infer_position, position_of<mlxc::argmax, kMax>,
              "Position of the largest element along an axis, or in the flat tensor."),
    reduction("argmin", kPositionAttrs, infer_position, position_of<mlxc::argmin, kMin>,
              "Position of the smallest element along an axis, or in the flat tensor."),
    OpDef{.name = "reduce",
          .group = Group::kReduction,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = kReduceFunctionAttrs,
          .infer = infer_reduce,
          .eval = eval_reduce,
          .doc = "Folds the elements along the axes with a function (element, accumulator) -> "
                 "accumulator, in row-major order, from the second operand on."},
};

}  // namespace

std::span<const OpDef> reduction_ops() { return kReductionOps; }

}  // namespace mlxnx::ops
