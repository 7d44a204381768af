// Elements picked from, added to or put into a tensor by index.
#include <algorithm>
#include <array>
#include <optional>

#include "mlxc/engine.h"
#include "mlxc/index_kernels.h"
#include "mlxnx/device.h"
#include "ops/index_values.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

Array without_elements(const TensorType& type) {
  return mlxc::broadcast_to(mlxc::scalar(std::int64_t{0}, type.dtype), type.shape);
}

// Refuses to index an axis that has no elements.
void check_not_empty(const Call& call, const Axes& axes) {
  for (const std::int64_t axis : axes) {
    if (call.shape(0)[static_cast<std::size_t>(axis)] > 0 || element_count(call.shape(1)) == 0)
      continue;
    call.shape_error("axis " + std::to_string(axis) + " of " + to_string(call.shape(0)) +
                     " has no elements to index");
  }
}

// The axes that the last axis of the indices, operand 1, stands for.
Axes indexed_axes(const Call& call) {
  const Shape& shape = call.shape(0);
  const auto width = static_cast<std::size_t>(call.shape(1).back());
  if (const auto* given = call.attr_if<Axes>("axes")) {
    const Axes axes = normalise_axes(call, *given, shape);
    if (!std::is_sorted(axes.begin(), axes.end()))
      call.shape_error("the axes must ascend, got " + to_string(axes));
    if (axes.size() == width) return axes;
    call.shape_error("expected one axis for each of the " + std::to_string(width) +
                     " indices in the last axis of " + to_string(call.shape(1)) + ", got " +
                     to_string(*given));
  }
  if (width > shape.size()) {
    call.shape_error("the last axis of indices " + to_string(call.shape(1)) +
                     " must not be longer than the rank of " + to_string(shape));
  }
  return all_axes(width);
}

void check_index_width(const Call& call) {
  require_integers(call, 1);
  if (call.rank(1) == 0) call.shape_error("indices need a rank of at least 1, got a scalar");
  if (call.shape(1).back() < 1)
    call.shape_error("the last axis of indices must not be empty, got " + to_string(call.shape(1)));
}

// ---- gather

OutputTypes infer_gather(const Call& call) {
  check_index_width(call);
  const Axes axes = indexed_axes(call);
  check_not_empty(call, axes);
  Shape to = call.shape(1);
  to.pop_back();
  for (const std::int64_t dim : remove_axes(call.shape(0), axes, false)) to.push_back(dim);
  element_count(to);
  return {{call.dtype(0), to}};
}

// Whether single elements are indexed and the tensor may be seen as one axis: MLX is 20 to 30 times
// faster along an axis than at general points. Making it row-major first must not cost more than
// that gains.
bool indexes_one_axis(const Call& call, const Axes& axes) {
  const Shape& shape = call.shape(0);
  if (axes.size() != shape.size() || !has_flat_positions(shape)) return false;
  const bool is_row_major = shape.size() == 1 || call.operands[0].known_data != nullptr;
  return is_row_major || element_count(shape) / 8 <= element_count(call.shape(1));
}

// Whether a kernel of our own takes so many elements out of a tensor, or puts so many into one.
// What is small is computed at once by others, to make a tensor row-major first must not cost more
// than it gains, and each place of the axes in front of `axis` is a call.
bool has_index_kernel(const Call& call, std::int64_t elements, std::int64_t axis = 0) {
  constexpr std::int64_t kMany = 4096, kManyOfOne = 64;
  std::int64_t outer = 1;
  for (std::int64_t i = 0; i < axis; ++i) outer *= call.shape(0)[static_cast<std::size_t>(i)];
  return elements >= kMany && elements / outer >= kManyOfOne &&
         element_count(call.shape(0)) / 8 <= elements && on_cpu() && mlxc::has_kernels();
}

// Whether these are the tensor's first axes, whose indices a kernel takes.
bool are_leading(const Axes& axes) {
  constexpr std::size_t kMost = 8;
  return axes.size() <= kMost && axes == all_axes(axes.size());
}

mlxc::IndexTask index_task(mlxc::IndexTask::Kind kind, std::int64_t axis, std::size_t width = 1) {
  return {kind, static_cast<int>(axis), static_cast<int>(width)};
}

Array flat(const Array& array) { return array.rank() == 1 ? array : mlxc::reshape(array, {-1}); }

Array eval_gather(const Call& call) {
  if (element_count(call.output().shape) == 0) return without_elements(call.output());
  const Axes axes = indexed_axes(call);
  if (are_leading(axes) && has_index_kernel(call, element_count(call.output().shape))) {
    return mlxc::pick(index_task(mlxc::IndexTask::Kind::kPick, 0, axes.size()), operand(call, 0),
                      checked_indices(call, 1, axes, call.shape(0)), call.output().shape);
  }
  if (indexes_one_axis(call, axes)) {
    const Array positions = safe_positions(call, 1, call.shape(0));
    const Array picked = mlxc::take_along_axis(flat(call.array(0)), positions, 0);
    return mlxc::reshape(picked, call.output().shape);
  }
  Shape sizes = call.shape(0);
  for (const std::int64_t axis : axes) sizes[static_cast<std::size_t>(axis)] = 1;
  const std::vector<Array> columns = safe_index_columns(call, 1, axes, call.shape(0));
  return mlxc::reshape(mlxc::gather(call.array(0), columns, axes, sizes), call.output().shape);
}

// ---- indexed_add, indexed_put

OutputTypes infer_indexed(const Call& call) {
  check_index_width(call);
  const Shape& into = call.shape(0);
  const Shape& indices = call.shape(1);
  const Shape& updates = call.shape(2);
  if (indices.size() > 2)
    call.shape_error("indices need rank 1 or 2, got shape " + to_string(indices));
  const Axes axes = indexed_axes(call);
  if (indices.size() == 1 && axes.size() != into.size()) {
    call.shape_error("a single index needs a number for each axis of " + to_string(into) +
                     ", got shape " + to_string(indices));
  }
  check_not_empty(call, axes);
  // The dimensions that are not indexed may be smaller: the updates then start at 0 in them.
  Shape expected(indices.begin(), indices.end() - 1);
  const std::size_t outer = expected.size();
  for (const std::int64_t dim : remove_axes(into, axes, false)) expected.push_back(dim);
  bool fits = updates.size() == expected.size();
  for (std::size_t i = 0; fits && i < expected.size(); ++i)
    fits = i < outer ? updates[i] == expected[i] : updates[i] <= expected[i];
  if (!fits) {
    call.shape_error("updates for indices " + to_string(indices) + " of " + to_string(into) +
                     " need shape " + to_string(expected) + ", got " + to_string(updates));
  }
  return {{merge(call.dtype(0), call.dtype(2)), into}};
}

// MLX's two forms of one scatter.
struct Scatter {
  Array (*at_points)(const Array&, std::span<const Array>, const Array&, const mlxc::Ints&);
  Array (*along_axis)(const Array&, const Array&, const Array&, int);
  mlxc::IndexTask::Kind kind;
};
constexpr Scatter kPut = {mlxc::scatter, mlxc::put_along_axis, mlxc::IndexTask::Kind::kPut};
constexpr Scatter kAdd = {mlxc::scatter_add, mlxc::scatter_add_axis, mlxc::IndexTask::Kind::kAdd};

Array scatter_as(const Call& call, DType type, const Scatter& scatter) {
  std::optional<mlxc::StreamScope> cpu;
  if (must_scatter_on_cpu(type, &scatter == &kAdd))
    cpu.emplace(mlxc::Engine::current().stream(Device::kCpu));
  const Array into = operand_as(call, 0, type);
  if (element_count(call.shape(2)) == 0) return into;
  const Axes axes = indexed_axes(call);
  const bool are_whole_runs = std::equal(
      call.shape(2).begin() + static_cast<std::ptrdiff_t>(call.rank(1)) - 1, call.shape(2).end(),
      call.shape(0).begin() + static_cast<std::ptrdiff_t>(axes.size()), call.shape(0).end());
  if (are_leading(axes) && are_whole_runs && has_index_kernel(call, element_count(call.shape(0)))) {
    return mlxc::update(index_task(scatter.kind, 0, axes.size()), into,
                        checked_indices(call, 1, axes, call.shape(0)), operand_as(call, 2, type));
  }
  // The tensor is copied in any case, so seeing it as one axis costs nothing more.
  if (axes.size() == call.rank(0) && has_flat_positions(call.shape(0))) {
    const Array positions = safe_positions(call, 1, call.shape(0));
    const Array updates = flat(operand_as(call, 2, type));
    return mlxc::reshape(scatter.along_axis(flat(into), positions, updates, 0), call.shape(0));
  }
  // MLX wants the updates' axes as those of the tensor, with 1 at the indexed ones.
  std::size_t next = call.rank(1) - 1;
  Shape window(call.shape(2).begin(), call.shape(2).begin() + next);
  for (std::size_t i = 0; i < call.rank(0); ++i)
    window.push_back(contains(axes, i) ? 1 : call.shape(2)[next++]);
  const Array updates = mlxc::reshape(operand_as(call, 2, type), window);
  return scatter.at_points(into, safe_index_columns(call, 1, axes, call.shape(0)), updates, axes);
}

Array eval_indexed_put(const Call& call) { return scatter_as(call, call.output().dtype, kPut); }

Array eval_indexed_add(const Call& call) {
  DType type = call.output().dtype;
  // Half floats would round after every single addition, and so do single ones: where many meet in
  // each place, that is too often.
  constexpr std::int64_t kMany = 64;
  const bool are_many = element_count(call.shape(2)) / kMany >= element_count(call.shape(0));
  if (is_float(type)) type = are_many ? widest_float() : size_bytes(type) == 2 ? DType::f32 : type;
  return scatter_as(call, type, kAdd);
}

// ---- take, take_along_axis

std::int64_t taken_axis(const Call& call) {
  return normalise_axis(call, call.attr<std::int64_t>("axis"), call.shape(0));
}

OutputTypes infer_take(const Call& call) {
  require_integers(call, 1);
  const std::int64_t axis = taken_axis(call);
  check_not_empty(call, {axis});
  const Shape& from = call.shape(0);
  Shape to(from.begin(), from.begin() + axis);
  for (const std::int64_t dim : call.shape(1)) to.push_back(dim);
  for (const std::int64_t* dim = from.begin() + axis + 1; dim != from.end(); ++dim)
    to.push_back(*dim);
  element_count(to);
  return {{call.dtype(0), to}};
}

Array eval_take(const Call& call) {
  if (element_count(call.output().shape) == 0) return without_elements(call.output());
  const std::int64_t axis = taken_axis(call);
  if (has_index_kernel(call, element_count(call.output().shape), axis)) {
    return mlxc::pick(index_task(mlxc::IndexTask::Kind::kPick, axis), operand(call, 0),
                      checked_indices(call, 1, {axis}, call.shape(0)), call.output().shape);
  }
  if (call.rank(0) == 1) {
    const Array indices = flat(safe_indices(call, 1, axis, call.shape(0)));
    return mlxc::reshape(mlxc::take_along_axis(call.array(0), indices, 0), call.output().shape);
  }
  return mlxc::take(call.array(0), safe_indices(call, 1, axis, call.shape(0)),
                    static_cast<int>(axis));
}

OutputTypes infer_take_along_axis(const Call& call) {
  require_integers(call, 1);
  const std::int64_t axis = taken_axis(call);
  check_not_empty(call, {axis});
  const Shape& from = call.shape(0);
  const Shape& indices = call.shape(1);
  bool fits = from.size() == indices.size();
  for (std::size_t i = 0; fits && i < from.size(); ++i)
    fits = static_cast<std::int64_t>(i) == axis || from[i] == indices[i];
  if (!fits) {
    call.shape_error("indices must have the shape " + to_string(from) + " but for axis " +
                     std::to_string(axis) + ", got " + to_string(indices));
  }
  return {{call.dtype(0), indices}};
}

Array eval_take_along_axis(const Call& call) {
  if (element_count(call.output().shape) == 0) return without_elements(call.output());
  const std::int64_t axis = taken_axis(call);
  if (has_index_kernel(call, element_count(call.output().shape), axis)) {
    return mlxc::pick(index_task(mlxc::IndexTask::Kind::kPickInColumns, axis), operand(call, 0),
                      checked_indices(call, 1, {axis}, call.shape(0)), call.output().shape);
  }
  return mlxc::take_along_axis(call.array(0), safe_indices(call, 1, axis, call.shape(0)),
                               static_cast<int>(axis));
}

// ---- rows

const std::array kIndexedAxesAttrs = {
    AttrDef{.name = "axes", .kind = AttrKind::kInts, .optional = true}};
const std::array kTakenAxisAttrs = {
    AttrDef{.name = "axis", .kind = AttrKind::kInt, .fallback = std::int64_t{0}}};

OpDef indexing(std::string_view name, std::int8_t operands, std::span<const AttrDef> attrs,
               InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kIndexing,
          .min_operands = operands,
          .max_operands = operands,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kIndexingOps = {
    indexing("gather", 2, kIndexedAxesAttrs, infer_gather, eval_gather,
             "The parts of the tensor that the indices in the last axis of the second point at."),
    indexing("indexed_add", 3, kIndexedAxesAttrs, infer_indexed, eval_indexed_add,
             "The tensor with updates added where the indices point; repeated ones add up."),
    indexing("indexed_put", 3, kIndexedAxesAttrs, infer_indexed, eval_indexed_put,
             "The tensor with updates put where the indices point; the last of repeated ones "
             "stays, but on a GPU it may be any."),
    indexing("block:Take", 2, kTakenAxisAttrs, infer_take, eval_take,
             "Slices of the tensor along an axis, one for each index."),
    indexing("block:TakeAlongAxis", 2, kTakenAxisAttrs, infer_take_along_axis, eval_take_along_axis,
             "Elements picked along an axis by indices of the tensor's own rank."),
};

}  // namespace

std::span<const OpDef> indexing_ops() { return kIndexingOps; }

}  // namespace mlxnx::ops
