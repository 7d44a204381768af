// Tensors from nothing but attributes: constant, iota, eye.
#include <algorithm>
#include <array>
#include <limits>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "tensor/element.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

OutputTypes infer_constant(const Call& call) {
  return {{call.attr<DType>("type"), shape_attr(call)}};
}

Array eval_constant(const Call& call) {
  const auto& [type, shape] = call.output();
  std::byte bytes[8];
  tensors::encode(call.attr<Number>("value"), type, bytes);
  return broadcast_to_shape(mlxc::from_bytes(bytes, {}, mlxc::to_mlx(type)), shape);
}

// The axis to count along, counted from the front; absent for a flat count.
const std::int64_t* iota_axis(const Call& call, const Shape& shape, std::int64_t& storage) {
  const auto* axis = call.attr_if<std::int64_t>("axis");
  if (axis == nullptr) return nullptr;
  storage = normalise_axis(call, *axis, shape);
  return &storage;
}

OutputTypes infer_iota(const Call& call) {
  const Shape shape = shape_attr(call);
  std::int64_t axis = 0;
  iota_axis(call, shape, axis);
  return {{call.attr<DType>("type"), shape}};
}

// Largest count whose every step MLX's arange makes exactly: it adds up in the type itself.
std::int64_t exact_count(DType type) {
  switch (type) {
    case DType::bf16:
      return 1 << 8;
    case DType::f16:
      return 1 << 11;
    case DType::f32:
    case DType::c64:
      return 1 << 24;
    default:
      return std::numeric_limits<std::int32_t>::max();
  }
}

Array count_up(std::int64_t count, DType type) {
  const auto stop = static_cast<double>(count);
  const bool counts = type != DType::c64 || on_cpu();  // MLX's CUDA counts real numbers only
  if (counts && count <= exact_count(type)) return mlxc::arange(0, stop, 1, type);
  return convert(mlxc::arange(0, stop, 1, DType::s64), DType::s64, type);
}

Array eval_iota(const Call& call) {
  const auto& [type, shape] = call.output();
  // MLX's CUDA gives a count of nothing no memory, which ops on the CPU ask for.
  if (element_count(shape) == 0) return broadcast_to_shape(constant(std::int64_t{0}, type), shape);
  std::int64_t axis = 0;
  if (iota_axis(call, shape, axis) == nullptr) {
    const std::int64_t count = element_count(shape);
    if (count > std::numeric_limits<std::int32_t>::max()) {
      call.unsupported("MLX counts through at most 2147483647 elements, " + to_string(shape) +
                       " has " + std::to_string(count));
    }
    const Array flat = count_up(count, type);
    return shape.size() == 1 ? flat : mlxc::reshape(flat, shape);
  }
  const Array line = count_up(shape[static_cast<std::size_t>(axis)], type);
  if (shape.size() == 1) return line;
  Shape along(shape.size(), 1);
  along[static_cast<std::size_t>(axis)] = shape[static_cast<std::size_t>(axis)];
  return broadcast_to_shape(mlxc::reshape(line, along), shape);
}

OutputTypes infer_eye(const Call& call) {
  const Shape shape = shape_attr(call);
  if (shape.size() < 2)
    call.shape_error("the shape needs at least 2 dimensions, got " + to_string(shape));
  return {{call.attr<DType>("type"), shape}};
}

// Ones written at a stride through flat zeros: unlike a scatter this runs on every device with
// every type.
Array eval_eye(const Call& call) {
  const auto& [type, shape] = call.output();
  const std::int64_t rows = shape[shape.size() - 2];
  const std::int64_t columns = shape.back();
  const std::int64_t diagonal = std::min(rows, columns);
  const Array zero = mlxc::scalar(std::int64_t{0}, type);
  if (element_count(shape) == 0) return mlxc::broadcast_to(zero, shape);
  Shape flat(shape.begin(), shape.end() - 2);
  flat.push_back(rows * columns);
  Axes start(flat.size(), 0);
  Axes stop(flat.begin(), flat.end());
  Axes strides(flat.size(), 1);
  stop.back() = (diagonal - 1) * (columns + 1) + 1;
  strides.back() = columns + 1;
  const Array one = mlxc::scalar(std::int64_t{1}, type);
  return mlxc::reshape(
      mlxc::slice_update(mlxc::broadcast_to(zero, flat), one, start, stop, strides), shape);
}

const AttrDef kCreatedShape = {.name = "shape", .kind = AttrKind::kInts};
const std::array kConstantAttrs = {
    AttrDef{.name = "value", .kind = AttrKind::kNumber},
    AttrDef{.name = "type", .kind = AttrKind::kType},
    AttrDef{.name = "shape", .kind = AttrKind::kInts, .fallback = Axes{}}};
const std::array kIotaAttrs = {
    kCreatedShape, AttrDef{.name = "type", .kind = AttrKind::kType, .fallback = DType::s32},
    AttrDef{.name = "axis", .kind = AttrKind::kInt, .optional = true}};
const std::array kEyeAttrs = {
    kCreatedShape, AttrDef{.name = "type", .kind = AttrKind::kType, .fallback = DType::s32}};

OpDef creation(std::string_view name, std::span<const AttrDef> attrs, InferFn infer, EvalFn eval,
               std::string_view doc) {
  return {.name = name,
          .group = Group::kCreation,
          .min_operands = 0,
          .max_operands = 0,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kCreationOps = {
    creation("constant", kConstantAttrs, infer_constant, eval_constant,
             "A tensor whose elements all have one value."),
    creation("eye", kEyeAttrs, infer_eye, eval_eye,
             "Ones on the diagonal of the last two axes and zeros elsewhere."),
    creation("iota", kIotaAttrs, infer_iota, eval_iota,
             "Numbers counting up from 0, along one axis or through all elements."),
};

}  // namespace

std::span<const OpDef> creation_ops() { return kCreationOps; }

}  // namespace mlxnx::ops
