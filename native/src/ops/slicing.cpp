// Slices read from and written to a tensor. Starts are clamped so that the whole slice lies inside.
#include <algorithm>
#include <array>
#include <limits>

#include "ops/index_values.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Operands before `end` may hold starts; operand 0 is the tensor.
void check_starts(const Call& call, std::size_t end) {
  const auto& starts = call.attr<std::vector<Start>>("starts");
  if (starts.size() != call.rank(0)) {
    call.shape_error("expected a start for each of the " + std::to_string(call.rank(0)) +
                     " dimensions of " + to_string(call.shape(0)) + ", got " +
                     std::to_string(starts.size()));
  }
  for (std::size_t axis = 0; axis < starts.size(); ++axis) {
    const auto* dynamic = std::get_if<DynamicStart>(&starts[axis]);
    if (dynamic == nullptr) continue;
    if (dynamic->operand < 1 || dynamic->operand >= static_cast<std::int64_t>(end)) {
      call.argument_error("the start of axis " + std::to_string(axis) + " is in operand " +
                          std::to_string(dynamic->operand) + ", which holds no start");
    }
    const auto i = static_cast<std::size_t>(dynamic->operand);
    const auto where = [axis] { return " for axis " + std::to_string(axis); };
    if (call.rank(i) != 0)
      call.shape_error("a start must be a scalar, got shape " + to_string(call.shape(i)) + where());
    if (!is_integer(call.dtype(i)))
      call.type_error("a start must be an integer, got " + std::string(name(call.dtype(i))) +
                      where());
  }
}

// The starts of a call as far as it knows them.
struct Starts {
  Axes known;  // clamped; 0 where only the device knows
  Axes last;   // the largest valid start of each axis
  bool all_known = true;
};

Starts known_starts(const Call& call, const Shape& lengths) {
  const auto& starts = call.attr<std::vector<Start>>("starts");
  Starts result;
  for (std::size_t axis = 0; axis < starts.size(); ++axis) {
    const std::int64_t last = call.shape(0)[axis] - lengths[axis];
    std::optional<std::int64_t> start;
    if (const auto* dynamic = std::get_if<DynamicStart>(&starts[axis])) {
      if (last > 0) start = known_integer(call, static_cast<std::size_t>(dynamic->operand));
      if (last == 0) start = 0;
    } else {
      start = std::get<std::int64_t>(starts[axis]);
    }
    result.all_known &= start.has_value();
    result.known.push_back(start ? std::clamp<std::int64_t>(*start, 0, last) : -1);
    result.last.push_back(last);
  }
  return result;
}

// The integer type that all dynamic starts are computed in.
DType start_type(const Call& call, const Axes& operands) {
  const bool fits = std::all_of(operands.begin(), operands.end(), [&](std::int64_t i) {
    const DType type = call.dtype(static_cast<std::size_t>(i));
    return type == DType::s32 || size_bytes(type) < 4;
  });
  return fits ? DType::s32 : DType::s64;
}

Array start_operand(const Call& call, std::size_t i, DType type) {
  const Array value = operand(call, i);
  const DType from = call.dtype(i);
  if (from != DType::u64) return convert(value, from, type);
  return convert(clamp_indices(value, from, {std::numeric_limits<std::int64_t>::max()}), from,
                 type);
}

// The starts that are not 0, in one integer type; those that the call does not know need clamping.
struct DynamicStarts {
  DType type;
  Axes axes;
  Axes last;  // the largest valid start of each of `axes`
  std::vector<Array> values;
};

DynamicStarts dynamic_starts(const Call& call, const Starts& starts) {
  const auto& given = call.attr<std::vector<Start>>("starts");
  Axes operands;
  for (std::size_t axis = 0; axis < given.size(); ++axis) {
    if (starts.known[axis] < 0) operands.push_back(std::get<DynamicStart>(given[axis]).operand);
  }
  DynamicStarts result{.type = start_type(call, operands), .axes = {}, .last = {}, .values = {}};
  std::size_t next = 0;
  for (std::size_t axis = 0; axis < given.size(); ++axis) {
    if (starts.known[axis] == 0) continue;
    const bool is_known = starts.known[axis] > 0;
    result.axes.push_back(static_cast<std::int64_t>(axis));
    result.last.push_back(starts.last[axis]);
    result.values.push_back(
        is_known ? mlxc::scalar(starts.known[axis], result.type)
                 : start_operand(call, static_cast<std::size_t>(operands[next++]), result.type));
  }
  return result;
}

Axes add(const Axes& a, const Axes& b) {
  Axes sum = a;
  for (std::size_t i = 0; i < b.size(); ++i) sum[i] += b[i];
  return sum;
}

// ---- slice

Axes slice_strides(const Call& call) {
  const auto* given = call.attr_if<Axes>("strides");
  return given != nullptr ? *given : Axes(call.rank(0), 1);
}

OutputTypes infer_slice(const Call& call) {
  check_starts(call, call.size());
  const Shape& from = call.shape(0);
  const auto& lengths = call.attr<Axes>("lengths");
  const Axes strides = slice_strides(call);
  if (lengths.size() != from.size() || strides.size() != from.size()) {
    call.shape_error("expected " + std::to_string(from.size()) + " lengths and strides for shape " +
                     to_string(from) + ", got " + to_string(lengths) + " and " +
                     to_string(strides));
  }
  Shape to;
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    const auto where = [&, axis] {
      return " at axis " + std::to_string(axis) + " of " + to_string(from);
    };
    const std::int64_t length = lengths[axis];
    // A tensor without elements may be sliced to what it is.
    if (length < std::min<std::int64_t>(from[axis], 1) || length > from[axis]) {
      call.shape_error("the length must be from 1 to the dimension, got " + std::to_string(length) +
                       where());
    }
    if (strides[axis] < 1)
      call.shape_error("the stride must be at least 1, got " + std::to_string(strides[axis]) +
                       where());
    to.push_back(length == 0 ? 0 : (length - 1) / strides[axis] + 1);
  }
  return {{call.dtype(0), to}};
}

Array eval_slice(const Call& call) {
  const Array& array = call.array(0);
  const Axes& lengths = call.attr<Axes>("lengths");
  const auto& [type, shape] = call.output();
  if (element_count(shape) == 0)
    return broadcast_to_shape(mlxc::scalar(std::int64_t{0}, type), shape);
  const Axes strides = slice_strides(call);
  const Starts starts = known_starts(call, lengths);
  if (starts.all_known)
    return mlxc::slice(array, starts.known, add(starts.known, lengths), strides);
  // A gather at one point: MLX 0.31 writes past the end in dynamic slices of rank 4 and more.
  const DynamicStarts dynamic = dynamic_starts(call, starts);
  std::vector<Array> point;
  for (std::size_t i = 0; i < dynamic.values.size(); ++i)
    point.push_back(clamp_indices(dynamic.values[i], dynamic.type, {dynamic.last[i]}));
  const Array window = mlxc::gather(array, point, dynamic.axes, lengths);
  return mlxc::slice(window, Axes(lengths.size(), 0), lengths, strides);
}

// ---- put_slice

OutputTypes infer_put_slice(const Call& call) {
  const std::size_t slice = call.size() - 1;
  check_starts(call, slice);
  const Shape& into = call.shape(0);
  const Shape& from = call.shape(slice);
  bool fits = from.size() == into.size();
  for (std::size_t axis = 0; fits && axis < into.size(); ++axis) fits = from[axis] <= into[axis];
  if (!fits) {
    call.shape_error("the slice must have the rank of the tensor and be no larger, got " +
                     to_string(from) + " for " + to_string(into));
  }
  return {{merge(call.dtype(0), call.dtype(slice)), into}};
}

Array eval_put_slice(const Call& call) {
  const std::size_t slice = call.size() - 1;
  const Shape& lengths = call.shape(slice);
  const DType type = call.output().dtype;
  const Array into = operand_as(call, 0, type);
  if (element_count(lengths) == 0) return into;
  const Array update = operand_as(call, slice, type);
  const Starts starts = known_starts(call, lengths);
  if (starts.all_known) {
    return mlxc::slice_update(into, update, starts.known, add(starts.known, lengths),
                              Axes(lengths.size(), 1));
  }
  const DynamicStarts dynamic = dynamic_starts(call, starts);
  const Array joined =
      dynamic.values.size() == 1 ? dynamic.values[0] : mlxc::stack(dynamic.values, 0);
  const Array clamped = clamp_indices(joined, dynamic.type, dynamic.last);
  return mlxc::slice_update_dynamic(into, update, clamped, dynamic.axes);
}

// ---- rows

const AttrDef kStarts = {.name = "starts", .kind = AttrKind::kStarts};
const std::array kPutSliceAttrs = {kStarts};
const std::array kSliceAttrs = {
    kStarts, AttrDef{.name = "lengths", .kind = AttrKind::kInts},
    AttrDef{.name = "strides", .kind = AttrKind::kInts, .optional = true}};

OpDef slicing(std::string_view name, std::int8_t min_operands, std::span<const AttrDef> attrs,
              InferFn infer, EvalFn eval, bool reads_a_part, std::string_view doc) {
  return {.name = name,
          .group = Group::kIndexing,
          .min_operands = min_operands,
          .max_operands = kVariadic,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc,
          .reads_a_part = reads_a_part};
}

const std::array kSlicingOps = {
    slicing("put_slice", 2, kPutSliceAttrs, infer_put_slice, eval_put_slice, false,
            "The tensor with a slice of it replaced; starts are clamped."),
    slicing("slice", 1, kSliceAttrs, infer_slice, eval_slice, true,
            "A part of the tensor: a start, a length and a stride for each axis; starts are "
            "clamped."),
};

}  // namespace

std::span<const OpDef> slicing_ops() { return kSlicingOps; }

}  // namespace mlxnx::ops
