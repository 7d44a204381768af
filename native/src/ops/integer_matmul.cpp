// Integer matrix products through floating ones. MLX multiplies floating matrices only, and f64
// holds every integer up to 2^53: so each operand is split into limbs of 16 bits, the limbs are
// multiplied as f64 matrices, and the partial products are put together in wrapping 64-bit
// arithmetic. A type of up to 16 bits is one limb and needs one product, 32 bits need three, 64
// ten.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "ops/matmul.h"
#include "ops/matrix.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr int kLimbBits = 16;

// A product of limbs is below 2^32, and at most 4 of them meet in one partial product.
constexpr std::int64_t kMaxContraction = std::int64_t{1} << 19;

// Multiplications up to which one broadcast product and a sum are quicker than splitting.
constexpr std::int64_t kSmallProduct = 1 << 13;

int limb_count(DType type) { return std::max(1, bits(type) / kLimbBits); }

// The limbs of an integer array as f64, lowest first. The highest one carries the sign.
std::vector<Array> limbs_of(const Array& array) {
  const DType type = array.dtype();
  const int count = limb_count(type);
  std::vector<Array> limbs;
  for (int i = 0; i < count; ++i) {
    Array limb = array;
    if (i > 0) limb = mlxc::right_shift(limb, mlxc::scalar(std::int64_t{kLimbBits} * i, type));
    if (i < count - 1) limb = mlxc::bitwise_and(limb, mlxc::scalar(std::int64_t{0xffff}, type));
    limbs.push_back(mlxc::astype(limb, DType::f64));
  }
  return limbs;
}

// The product modulo 2^64, as s64, of which the lowest `result_limbs` limbs are right.
Array product_of_limbs(const Array& left, const Array& right, int result_limbs) {
  const std::vector<Array> lefts = limbs_of(left);
  const std::vector<Array> rights = limbs_of(right);
  const int orders = std::min(result_limbs, static_cast<int>(lefts.size() + rights.size()) - 1);
  Array total;
  for (int order = orders; order-- > 0;) {
    Array partial;
    for (int i = 0; i < static_cast<int>(lefts.size()); ++i) {
      const int j = order - i;
      if (j < 0 || j >= static_cast<int>(rights.size())) continue;
      Array product = mlxc::matmul(lefts[i], rights[j]);
      partial = partial.empty() ? product : mlxc::add(partial, product);
    }
    partial = mlxc::astype(partial, DType::s64);
    if (!total.empty()) {
      total = mlxc::multiply(total, mlxc::scalar(std::int64_t{1} << kLimbBits, DType::s64));
      partial = mlxc::add(total, partial);
    }
    total = partial;
  }
  return total;
}

// Positions `from` to `to` of `axis`.
Array part_of(const Array& array, std::size_t axis, std::int64_t from, std::int64_t to) {
  Shape start(array.rank(), 0);
  Shape stop = shape_of(array);
  start[axis] = from;
  stop[axis] = to;
  return mlxc::slice(array, start, stop, Shape(array.rank(), 1));
}

Array multiply_and_sum(const Array& left, const Array& right, DType type) {
  Array a = convert(left, left.dtype(), type);
  Array b = convert(right, right.dtype(), type);
  if (b.rank() >= 2) b = transpose_matrix(b);
  if (a.rank() >= 2 && b.rank() >= 2) a = mlxc::expand_dims_axes(a, {-2});
  if (b.rank() >= 3) b = mlxc::expand_dims_axes(b, {-3});
  // MLX sums 8 and 16 bits as 32: the cast back is the wrapping.
  return mlxc::astype(mlxc::sum(mlxc::multiply(a, b), {-1}), type);
}

}  // namespace

Array integer_matmul(const Array& left, const Array& right, DType type) {
  const std::int64_t depth = left.shape().back();
  const std::int64_t columns = right.rank() >= 2 ? right.shape().back() : 1;
  if (left.size() <= kSmallProduct / columns) return multiply_and_sum(left, right, type);

  // Only the CPU has f64.
  const mlxc::StreamScope cpu(mlxc::Engine::current().stream(Device::kCpu));
  const std::size_t left_axis = left.rank() - 1;
  const std::size_t right_axis = right.rank() >= 2 ? right.rank() - 2 : 0;
  Array total;
  for (std::int64_t from = 0; from < depth; from += kMaxContraction) {
    const std::int64_t to = std::min(depth, from + kMaxContraction);
    const bool is_whole = to - from == depth;
    const Array product =
        product_of_limbs(is_whole ? left : part_of(left, left_axis, from, to),
                         is_whole ? right : part_of(right, right_axis, from, to), limb_count(type));
    total = total.empty() ? product : mlxc::add(total, product);
  }
  return mlxc::astype(total, type);
}

}  // namespace mlxnx::ops
