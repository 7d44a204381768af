// The generalised dot product, Nx.dot/6: batch axes first, then what is left of each operand.
#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <string>

#include "mlxc/memory_of_arrays.h"
#include "ops/matmul.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// One operand's side of the product; axes normalised.
struct Side {
  const char* label;
  const Shape& shape;
  Axes contract;
  Axes batch;

  std::size_t free_rank() const { return shape.size() - contract.size() - batch.size(); }
  Shape batch_shape() const { return Shape(shape.begin(), shape.begin() + batch.size()); }
  Axes free_axes() const {
    Axes axes;
    for (std::size_t i = batch.size(); i < shape.size(); ++i) {
      const auto axis = static_cast<std::int64_t>(i);
      if (std::find(contract.begin(), contract.end(), axis) == contract.end()) axes.push_back(axis);
    }
    return axes;
  }
};

Side side(const Call& call, std::size_t i, std::string_view contract, std::string_view batch) {
  const Shape& shape = call.shape(i);
  return {i == 0 ? "left" : "right", shape, normalise_axes(call, call.attr<Axes>(contract), shape),
          normalise_axes(call, call.attr<Axes>(batch), shape)};
}
Side left_side(const Call& call) { return side(call, 0, "contract_axes1", "batch_axes1"); }
Side right_side(const Call& call) { return side(call, 1, "contract_axes2", "batch_axes2"); }

void check_side(const Call& call, const Side& side) {
  if (side.batch != all_axes(side.batch.size())) {
    call.shape_error("the batch axes of the " + std::string(side.label) +
                     " tensor must be successive from 0, got " + to_string(side.batch));
  }
  for (const std::int64_t axis : side.batch) {
    if (std::find(side.contract.begin(), side.contract.end(), axis) != side.contract.end()) {
      call.shape_error("axis " + std::to_string(axis) + " of the " + side.label +
                       " tensor is both a batch axis and a contracted one");
    }
  }
}

void check_pair(const Call& call, const Side& left, const Side& right) {
  if (left.batch.empty() != right.batch.empty()) {
    const Side& batched = left.batch.empty() ? right : left;
    const Side& other = left.batch.empty() ? left : right;
    call.shape_error(std::string(other.label) + " tensor must be batched if " + batched.label +
                     " tensor is batched, got batch axes " + to_string(left.batch) + " and " +
                     to_string(right.batch));
  }
  if (pick(left.shape, left.batch) != pick(right.shape, right.batch)) {
    call.shape_error("batch dimensions must match, got " + to_string(pick(left.shape, left.batch)) +
                     " of " + to_string(left.shape) + " and " +
                     to_string(pick(right.shape, right.batch)) + " of " + to_string(right.shape));
  }
  if (left.contract.size() != right.contract.size()) {
    call.shape_error("as many axes must be contracted on both sides, got " +
                     to_string(left.contract) + " and " + to_string(right.contract));
  }
  for (std::size_t i = 0; i < left.contract.size(); ++i) {
    const auto a = static_cast<std::size_t>(left.contract[i]);
    const auto b = static_cast<std::size_t>(right.contract[i]);
    if (left.shape[a] == right.shape[b]) continue;
    call.shape_error("dimension " + std::to_string(a) + " of the left side (" +
                     std::to_string(left.shape[a]) + ") does not equal dimension " +
                     std::to_string(b) + " of the right side (" + std::to_string(right.shape[b]) +
                     "), shapes " + to_string(left.shape) + " and " + to_string(right.shape));
  }
}

OutputTypes infer_dot(const Call& call) {
  const Side left = left_side(call);
  const Side right = right_side(call);
  check_side(call, left);
  check_side(call, right);
  check_pair(call, left, right);
  Shape shape = left.batch_shape();
  for (const Side* side : {&left, &right}) {
    for (const std::int64_t dim : pick(side->shape, side->free_axes())) shape.push_back(dim);
  }
  return {{types::merged(call), shape}};
}

// The pairs of contracted axes in any order give the same product; sorted by the left axis at
// least that operand can be reshaped without a copy.
void sort_contractions(Side& left, Side& right) {
  for (std::size_t i = 1; i < left.contract.size(); ++i) {
    for (std::size_t j = i; j > 0 && left.contract[j - 1] > left.contract[j]; --j) {
      std::swap(left.contract[j - 1], left.contract[j]);
      std::swap(right.contract[j - 1], right.contract[j]);
    }
  }
}

Axes joined(const Axes& a, const Axes& b, const Axes& c) {
  Axes result = a;
  for (const std::int64_t axis : b) result.push_back(axis);
  for (const std::int64_t axis : c) result.push_back(axis);
  return result;
}

// The operand as `[batch…, rows, columns]` with the contracted axes as columns, or as rows; without
// a copy where its axes lie in either of these orders.
Matrices as_matrices(const Array& array, const Side& side, bool contract_last) {
  const Axes free = side.free_axes();
  const Axes identity = all_axes(side.shape.size());
  const Axes free_first = joined(side.batch, free, side.contract);
  const Axes contract_first = joined(side.batch, side.contract, free);
  const bool lies_contract_last = free_first == identity;
  const bool lies_so = lies_contract_last || contract_first == identity;
  const bool ends_contract_last = lies_so ? lies_contract_last : contract_last;
  const Axes& order = ends_contract_last ? free_first : contract_first;

  Array result = lies_so ? array : mlxc::transpose_axes(array, order);
  if (free.size() != 1 || side.contract.size() != 1) {
    const std::int64_t free_size = element_count(pick(side.shape, free));
    const std::int64_t contract_size = element_count(pick(side.shape, side.contract));
    Shape shape = side.batch_shape();
    shape.push_back(ends_contract_last ? free_size : contract_size);
    shape.push_back(ends_contract_last ? contract_size : free_size);
    result = mlxc::reshape(result, shape);
  }
  return {result, ends_contract_last != contract_last};
}

// Nothing is contracted: every element of one with every element of the other.
Array outer_product(const Call& call, const Side& left, const Side& right, DType type) {
  Shape left_shape = left.shape;
  for (std::size_t i = 0; i < right.free_rank(); ++i) left_shape.push_back(1);
  Shape right_shape = right.batch_shape();
  for (std::size_t i = 0; i < left.free_rank(); ++i) right_shape.push_back(1);
  for (std::size_t i = right.batch.size(); i < right.shape.size(); ++i)
    right_shape.push_back(right.shape[i]);
  Array a = operand_as(call, 0, type);
  Array b = operand_as(call, 1, type);
  if (left_shape != left.shape) a = mlxc::reshape(a, left_shape);
  if (right_shape != right.shape) b = mlxc::reshape(b, right_shape);
  return mlxc::multiply(a, b);
}

// A matrix `[…1, contracted, free]` with as many axes as are asked for. One that is there, as
// weights are, takes no node.
Array as_batch_of_one(const Call& call, std::size_t i, std::int64_t contracted, std::size_t rank) {
  Array matrix = operand(call, i);
  Shape shape(rank - 2, 1);
  for (const std::int64_t axis : {contracted, 1 - contracted})
    shape.push_back(call.shape(i)[static_cast<std::size_t>(axis)]);
  const auto* const ready = call.operands[i].ready;
  if (matrix.block() == nullptr && ready != nullptr && ready->load(std::memory_order_acquire)) {
    const auto own = mlxc::strides_of(matrix);
    const auto fits = [](std::int64_t stride) { return stride >= 0 && stride <= INT_MAX; };
    if (std::ranges::all_of(own, fits)) {
      Axes strides(rank - 2, 0);
      for (const std::int64_t axis : {contracted, 1 - contracted})
        strides.push_back(own[static_cast<std::size_t>(axis)]);
      const mlxc::Ints dims(shape), steps(strides);
      return mlxc::part_of(matrix, 0, {dims.data(), dims.size()}, {steps.data(), steps.size()});
    }
  }
  if (contracted == 1) matrix = mlxc::transpose_axes(matrix, Axes{1, 0});
  return rank == 2 ? matrix : mlxc::reshape(matrix, shape);
}

// Whether the left operand is one matrix, whatever its axes, whose last axis meets a matrix of the
// same type. MLX's GPUs multiply these as they are, where the general way lays axes together before
// and apart afterwards, a node each.
bool is_one_matrix_by_another(const Call& call, const Side& left, const Side& right, DType type) {
  const std::size_t rank = left.shape.size();
  if (on_cpu() || is_integer(type) || call.dtype(0) != type || call.dtype(1) != type) return false;
  if (!left.batch.empty() || left.contract.size() != 1 || rank < 2 || right.shape.size() != 2)
    return false;
  return left.contract[0] == static_cast<std::int64_t>(rank) - 1 &&
         std::all_of(left.shape.begin(), left.shape.end() - 2, [](auto dim) { return dim == 1; });
}

Array eval_dot(const Call& call) {
  const DType type = types::merged(call);
  const Shape& shape = call.output().shape;
  Side left = left_side(call);
  Side right = right_side(call);
  if (left.contract.empty()) return outer_product(call, left, right, type);
  if (element_count(left.shape) == 0 || element_count(right.shape) == 0)
    return zeros({type, shape});
  if (is_one_matrix_by_another(call, left, right, type)) {
    return mlxc::matmul(operand(call, 0),
                        as_batch_of_one(call, 1, right.contract[0], left.shape.size()));
  }
  sort_contractions(left, right);
  const Array product = matmul(as_matrices(operand(call, 0), left, true),
                               as_matrices(operand(call, 1), right, false), type);
  return shape_of(product) == shape ? product : mlxc::reshape(product, shape);
}

const std::array<AttrDef, 4> kDotAttrs = {
    AttrDef{"contract_axes1", AttrKind::kInts},
    AttrDef{"batch_axes1", AttrKind::kInts, AttrValue(Axes{})},
    AttrDef{"contract_axes2", AttrKind::kInts},
    AttrDef{"batch_axes2", AttrKind::kInts, AttrValue(Axes{})},
};

const std::array kDotOps = {
    OpDef{.name = "dot",
          .group = Group::kContraction,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = kDotAttrs,
          .infer = infer_dot,
          .eval = eval_dot,
          .doc = "Dot product over the contracted axes of both tensors, for each position of the "
                 "batch axes; integers are exact and wrap."},
};

}  // namespace

std::span<const OpDef> dot_ops() { return kDotOps; }

}  // namespace mlxnx::ops
