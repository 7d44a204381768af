// Ops that move, repeat or reinterpret elements without computing with them.
#include <algorithm>
#include <array>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// ---- types

OutputTypes infer_as_type(const Call& call) { return {{call.attr<DType>("type"), call.shape(0)}}; }

Array eval_as_type(const Call& call) { return moved_as(call, 0, call.output().dtype); }

OutputTypes infer_bitcast(const Call& call) {
  const DType from = call.dtype(0);
  const DType to = call.attr<DType>("type");
  if (size_bytes(from) != size_bytes(to)) {
    call.type_error("the types must have the same width, got " + std::string(name(from)) + " and " +
                    std::string(name(to)));
  }
  return {{to, call.shape(0)}};
}

Array eval_bitcast(const Call& call) {
  const DType to = call.attr<DType>("type");
  return call.dtype(0) == to ? call.array(0) : mlxc::view(call.array(0), to);
}

// ---- broadcast

// The axes of the result that the operand's axes map to.
Axes broadcast_axes(const Call& call, const Shape& to) {
  const Shape& from = call.shape(0);
  if (const auto* given = call.attr_if<Axes>("axes")) return normalise_axes(call, *given, to);
  Axes axes;
  if (from.size() > to.size())
    call.shape_error("cannot broadcast " + to_string(from) + " to " + to_string(to));
  for (std::size_t i = 0; i < from.size(); ++i)
    axes.push_back(static_cast<std::int64_t>(to.size() - from.size() + i));
  return axes;
}

OutputTypes infer_broadcast(const Call& call) {
  const Shape to = call.attr<Axes>("shape");
  element_count(to);
  const Shape& from = call.shape(0);
  const Axes axes = broadcast_axes(call, to);
  if (axes.size() != from.size()) {
    call.shape_error("expected one axis for each of the " + std::to_string(from.size()) +
                     " dimensions of " + to_string(from) + ", got axes " + to_string(axes));
  }
  if (!std::is_sorted(axes.begin(), axes.end()))
    call.shape_error("the axes must ascend, got " + to_string(axes));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t dim = to[static_cast<std::size_t>(axes[i])];
    if (from[i] != 1 && from[i] != dim) {
      call.shape_error("cannot broadcast " + to_string(from) + " to " + to_string(to) +
                       " with axes " + to_string(axes));
    }
  }
  return {{call.dtype(0), to}};
}

Array eval_broadcast(const Call& call) {
  const Shape& to = call.output().shape;
  const Axes axes = broadcast_axes(call, to);
  const std::size_t leading = to.size() - axes.size();
  // MLX aligns at the last axis; only other mappings need axes of size 1 put in.
  if (axes.empty() || axes[0] == static_cast<std::int64_t>(leading))
    return broadcast_to_shape(call.array(0), to);
  Axes absent;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (!contains(axes, i)) absent.push_back(static_cast<std::int64_t>(i));
  }
  return broadcast_to_shape(mlxc::expand_dims_axes(call.array(0), absent), to);
}

// ---- reshape, squeeze, transpose, reverse

OutputTypes infer_reshape(const Call& call) {
  const Shape& from = call.shape(0);
  Shape to = call.attr<Axes>("shape");
  const auto refuse = [&] {
    call.shape_error("cannot reshape " + to_string(from) + " with " +
                     std::to_string(element_count(from)) + " elements to " +
                     to_string(call.attr<Axes>("shape")));
  };
  const auto open = std::find(to.begin(), to.end(), -1);
  const bool is_open = open != to.end();
  if (is_open) *open = 1;
  if (std::any_of(to.begin(), to.end(), [](std::int64_t dim) { return dim < 0; })) refuse();
  if (is_open) {
    const std::int64_t others = element_count(to);
    if (others == 0 || element_count(from) % others != 0) refuse();
    *open = element_count(from) / others;
  }
  if (element_count(to) != element_count(from)) refuse();
  return {{call.dtype(0), to}};
}

Array eval_reshape(const Call& call) { return mlxc::reshape(call.array(0), call.output().shape); }

Axes squeezed_axes(const Call& call) {
  const Shape& shape = call.shape(0);
  if (const auto* given = call.attr_if<Axes>("axes")) return normalise_axes(call, *given, shape);
  Axes axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) axes.push_back(static_cast<std::int64_t>(i));
  }
  return axes;
}

OutputTypes infer_squeeze(const Call& call) {
  const Shape& shape = call.shape(0);
  const Axes axes = squeezed_axes(call);
  for (const std::int64_t axis : axes) {
    const std::int64_t dim = shape[static_cast<std::size_t>(axis)];
    if (dim == 1) continue;
    call.shape_error("only dimensions of size 1 can be squeezed, got " + std::to_string(dim) +
                     " for axis " + std::to_string(axis) + " of " + to_string(shape));
  }
  return {{call.dtype(0), remove_axes(shape, axes, false)}};
}

Array eval_squeeze(const Call& call) {
  const Axes axes = squeezed_axes(call);
  return axes.empty() ? call.array(0) : mlxc::squeeze_axes(call.array(0), axes);
}

Axes transposed_axes(const Call& call) {
  const Shape& shape = call.shape(0);
  if (const auto* given = call.attr_if<Axes>("axes")) return normalise_axes(call, *given, shape);
  Axes axes = all_axes(shape.size());
  std::reverse(axes.begin(), axes.end());
  return axes;
}

OutputTypes infer_transpose(const Call& call) {
  const Shape& from = call.shape(0);
  const Axes axes = transposed_axes(call);
  if (axes.size() != from.size()) {
    call.shape_error("expected " + std::to_string(from.size()) + " axes for shape " +
                     to_string(from) + ", got " + to_string(axes));
  }
  Shape to;
  for (const std::int64_t axis : axes) to.push_back(from[static_cast<std::size_t>(axis)]);
  return {{call.dtype(0), to}};
}

Array eval_transpose(const Call& call) {
  const Axes axes = transposed_axes(call);
  if (axes == all_axes(axes.size())) return call.array(0);
  Array result = mlxc::transpose_axes(call.array(0), axes);
  Axes order = call.array(0).axis_order();
  if (order.empty()) order = all_axes(axes.size());
  for (std::int64_t& axis : order) axis = std::find(axes.begin(), axes.end(), axis) - axes.begin();
  result.set_axis_order(order);
  return result;
}

Axes reversed_axes(const Call& call) {
  const Shape& shape = call.shape(0);
  const auto* given = call.attr_if<Axes>("axes");
  return given != nullptr ? normalise_axes(call, *given, shape) : all_axes(shape.size());
}

OutputTypes infer_reverse(const Call& call) {
  reversed_axes(call);
  return {call.type(0)};
}

Array eval_reverse(const Call& call) {
  const Shape& shape = call.shape(0);
  const Axes axes = reversed_axes(call);
  if (element_count(shape) == 0 || axes.empty()) return call.array(0);
  Axes start(shape.size(), 0);
  Axes stop = shape;
  Axes strides(shape.size(), 1);
  for (const std::int64_t axis : axes) {
    const auto i = static_cast<std::size_t>(axis);
    start[i] = shape[i] - 1;
    stop[i] = -shape[i] - 1;  // one before the first: -1 would count from the end
    strides[i] = -1;
  }
  return mlxc::slice(call.array(0), start, stop, strides);
}

// ---- pad

OutputTypes infer_pad(const Call& call) {
  const Shape& from = call.shape(0);
  const auto& padding = call.attr<std::vector<Triple>>("padding");
  if (call.rank(1) != 0)
    call.shape_error("the padding value must be a scalar, got shape " + to_string(call.shape(1)));
  if (padding.size() != from.size()) {
    call.shape_error("expected a padding for each of the " + std::to_string(from.size()) +
                     " dimensions of " + to_string(from) + ", got " +
                     std::to_string(padding.size()));
  }
  Shape to;
  for (std::size_t i = 0; i < padding.size(); ++i) {
    const auto [low, high, interior] = padding[i];
    const auto where = [&, i] {
      return " at axis " + std::to_string(i) + " of " + to_string(from);
    };
    if (interior < 0)
      call.argument_error("interior padding cannot be negative, got " + std::to_string(interior) +
                          where());
    std::int64_t dim = 0;
    const bool overflows =
        __builtin_mul_overflow(std::max<std::int64_t>(from[i] - 1, 0), interior, &dim) ||
        __builtin_add_overflow(dim, from[i], &dim) || __builtin_add_overflow(dim, low, &dim) ||
        __builtin_add_overflow(dim, high, &dim);
    if (overflows || dim < 0) {
      call.shape_error("a padding of " + std::to_string(low) + " and " + std::to_string(high) +
                       " leaves no valid dimension" + where());
    }
    to.push_back(dim);
  }
  element_count(to);
  return {{types::merged(call), to}};
}

// Which elements of each axis stay, and where in the result they go.
struct PadPlan {
  Axes first, last;  // kept: [first, last)
  Axes start, stop;  // where they go
  Axes steps;
  bool keeps_all = true, keeps_none = false, has_interior = false;
};

PadPlan plan_pad(const Shape& from, const std::vector<Triple>& padding, const Shape& to) {
  PadPlan plan;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto [low, high, interior] = padding[i];
    const std::int64_t step = interior + 1;
    // Element k lands at low + k * step; those outside the result are cut off.
    const std::int64_t first = low >= 0 ? 0 : (-low + step - 1) / step;
    const std::int64_t room = to[i] - low - 1;
    const std::int64_t last = room < 0 ? 0 : std::min(from[i], room / step + 1);
    plan.keeps_all &= first == 0 && last == from[i];
    plan.keeps_none |= first >= last;
    plan.has_interior |= interior > 0 && last - first > 1;
    plan.first.push_back(first);
    plan.last.push_back(last);
    plan.start.push_back(low + first * step);
    plan.stop.push_back(low + (last - 1) * step + 1);
    plan.steps.push_back(step);
  }
  return plan;
}

Array eval_pad(const Call& call) {
  const auto& [type, to] = call.output();
  const Shape& from = call.shape(0);
  const PadPlan plan = plan_pad(from, call.attr<std::vector<Triple>>("padding"), to);
  if (from == to && plan.keeps_all) return moved_as(call, 0, type);
  const Array value = operand_as(call, 1, type);
  if (plan.keeps_none) return broadcast_to_shape(value, to);
  Array kept = operand_as(call, 0, type);
  if (!plan.keeps_all) kept = mlxc::slice(kept, plan.first, plan.last, Axes(from.size(), 1));
  if (plan.has_interior) {
    return mlxc::slice_update(broadcast_to_shape(value, to), kept, plan.start, plan.stop,
                              plan.steps);
  }
  Axes low, high;
  for (std::size_t i = 0; i < to.size(); ++i) {
    low.push_back(plan.start[i]);
    high.push_back(to[i] - plan.stop[i]);
  }
  const bool only_cuts = std::all_of(low.begin(), low.end(), [](auto n) { return n == 0; }) &&
                         std::all_of(high.begin(), high.end(), [](auto n) { return n == 0; });
  return only_cuts ? kept : mlxc::pad(kept, all_axes(to.size()), low, high, value);
}

// ---- concatenate, stack

OutputTypes infer_concatenate(const Call& call) {
  Shape to = call.shape(0);
  const std::int64_t axis = normalise_axis(call, call.attr<std::int64_t>("axis"), to);
  for (std::size_t i = 1; i < call.size(); ++i) {
    const Shape& shape = call.shape(i);
    bool fits = shape.size() == to.size();
    for (std::size_t d = 0; fits && d < to.size(); ++d)
      fits = static_cast<std::int64_t>(d) == axis || shape[d] == to[d];
    if (!fits) {
      call.shape_error("all shapes must be " + to_string(call.shape(0)) + " but for axis " +
                       std::to_string(axis) + ", got " + to_string(shape));
    }
    to[static_cast<std::size_t>(axis)] += shape[static_cast<std::size_t>(axis)];
  }
  element_count(to);
  return {{types::merged(call), to}};
}

std::vector<Array> all_moved_as(const Call& call, DType type) {
  std::vector<Array> arrays;
  arrays.reserve(call.size());
  for (std::size_t i = 0; i < call.size(); ++i) arrays.push_back(moved_as(call, i, type));
  return arrays;
}

Array eval_concatenate(const Call& call) {
  const std::int64_t axis =
      normalise_axis(call, call.attr<std::int64_t>("axis"), call.output().shape);
  return mlxc::concatenate(all_moved_as(call, call.output().dtype), static_cast<int>(axis));
}

// The place of the new axis: one more choice than the operands have axes.
std::int64_t stack_axis(const Call& call) {
  const std::int64_t axis = call.attr<std::int64_t>("axis");
  const auto places = static_cast<std::int64_t>(call.rank(0)) + 1;
  if (axis >= places || axis < -places) {
    call.shape_error("the new axis of shape " + to_string(call.shape(0)) +
                     " must be a number from " + std::to_string(-places) + " to " +
                     std::to_string(places - 1) + ", got " + std::to_string(axis));
  }
  return axis < 0 ? axis + places : axis;
}

OutputTypes infer_stack(const Call& call) {
  Shape to = call.shape(0);
  for (std::size_t i = 1; i < call.size(); ++i) {
    if (call.shape(i) != to) {
      call.shape_error("all shapes must be the same, got " + to_string(to) + " and " +
                       to_string(call.shape(i)));
    }
  }
  to.insert(to.begin() + stack_axis(call), static_cast<std::int64_t>(call.size()));
  element_count(to);
  return {{types::merged(call), to}};
}

Array eval_stack(const Call& call) {
  return mlxc::stack(all_moved_as(call, call.output().dtype), static_cast<int>(stack_axis(call)));
}

// ---- rows

const AttrDef kType = {.name = "type", .kind = AttrKind::kType};
const AttrDef kShape = {.name = "shape", .kind = AttrKind::kInts};
const AttrDef kAxes = {.name = "axes", .kind = AttrKind::kInts, .optional = true};

const std::array kTypeAttrs = {kType};
const std::array kShapeAttrs = {kShape};
const std::array kAxesAttrs = {kAxes};
const std::array kBroadcastAttrs = {kShape, kAxes};
const std::array kPaddingAttrs = {AttrDef{.name = "padding", .kind = AttrKind::kTriples}};
const std::array kAxisAttrs = {
    AttrDef{.name = "axis", .kind = AttrKind::kInt, .fallback = std::int64_t{0}}};

OpDef shape_op(std::string_view name, std::int8_t operands, std::span<const AttrDef> attrs,
               InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kShape,
          .min_operands = operands == kVariadic ? std::int8_t{1} : operands,
          .max_operands = operands,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kShapeOps = {
    shape_op("as_type", 1, kTypeAttrs, infer_as_type, eval_as_type,
             "The elements cast to another type."),
    shape_op("bitcast", 1, kTypeAttrs, infer_bitcast, eval_bitcast,
             "The same bytes read as another type of the same width."),
    shape_op("broadcast", 1, kBroadcastAttrs, infer_broadcast, eval_broadcast,
             "The tensor repeated to fill a larger shape."),
    shape_op("concatenate", kVariadic, kAxisAttrs, infer_concatenate, eval_concatenate,
             "Tensors joined along an axis that they have."),
    shape_op("pad", 2, kPaddingAttrs, infer_pad, eval_pad,
             "A value put around and between the elements of each axis; negative widths cut off."),
    shape_op("reshape", 1, kShapeAttrs, infer_reshape, eval_reshape,
             "The elements, in the same order, under another shape."),
    shape_op("reverse", 1, kAxesAttrs, infer_reverse, eval_reverse,
             "The elements in reverse order along some axes, or all."),
    shape_op("squeeze", 1, kAxesAttrs, infer_squeeze, eval_squeeze,
             "The tensor without some, or all, of its axes of size 1."),
    shape_op("stack", kVariadic, kAxisAttrs, infer_stack, eval_stack,
             "Tensors of one shape joined along a new axis."),
    shape_op("transpose", 1, kAxesAttrs, infer_transpose, eval_transpose,
             "The axes in another order; reversed unless told otherwise."),
};

}  // namespace

std::span<const OpDef> shape_ops() { return kShapeOps; }

}  // namespace mlxnx::ops
