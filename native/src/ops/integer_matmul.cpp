// Integer matrix products. MLX multiplies floating matrices only, and f64 holds every integer up to
// 2^53: so each operand is split into limbs of 16 bits, the limbs are multiplied as f64 matrices,
// and the partial products are put together in wrapping 64-bit arithmetic. A type of up to 16 bits
// is one limb and needs one product, 32 bits need three, 64 ten.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "ops/matmul.h"
#include "ops/matrix.h"
#include "ops/operands.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr int kLimbBits = 16;

// A product of limbs is below 2^32, and at most 4 of them meet in one partial product.
constexpr std::int64_t kMaxDepth = std::int64_t{1} << 19;

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

// The sum of the products of limbs that weigh 2^(16 order), as s64.
Array partial_product(const std::vector<Array>& left, const std::vector<Array>& right, int order) {
  Array sum;
  for (int i = 0; i < static_cast<int>(left.size()); ++i) {
    const int j = order - i;
    if (j < 0 || j >= static_cast<int>(right.size())) continue;
    Array product =
        mlxc::matmul(left[static_cast<std::size_t>(i)], right[static_cast<std::size_t>(j)]);
    sum = sum.empty() ? product : mlxc::add(sum, product);
  }
  return mlxc::astype(sum, DType::s64);
}

// The product modulo 2^(16 limbs), in the low bits of an s64.
Array product_of_limbs(const Array& left, const Array& right, int limbs) {
  const std::vector<Array> lefts = limbs_of(left);
  const std::vector<Array> rights = limbs_of(right);
  const Array base = mlxc::scalar(std::int64_t{1} << kLimbBits, DType::s64);
  const int orders = static_cast<int>(lefts.size() + rights.size()) - 1;
  Array total;
  for (int order = std::min(limbs, orders); order-- > 0;) {
    const Array partial = partial_product(lefts, rights, order);
    total = total.empty() ? partial : mlxc::add(mlxc::multiply(total, base), partial);
  }
  return total;
}

// The product by blocks of the contracted axis in which f64 is exact.
Array exact_product(const Array& left, const Array& right, DType type) {
  const std::int64_t depth = left.shape().back();
  Array total;
  for (std::int64_t from = 0; from < depth; from += kMaxDepth) {
    const std::int64_t to = std::min(depth, from + kMaxDepth);
    const bool is_all = to - from == depth;
    const Array product = product_of_limbs(
        is_all ? left : columns(left, static_cast<int>(from), static_cast<int>(to)),
        is_all ? right : rows(right, static_cast<int>(from), static_cast<int>(to)),
        limb_count(type));
    total = total.empty() ? product : mlxc::add(total, product);
  }
  return mlxc::astype(total, type);
}

// Whether M * K * N multiplications, each stored, are quicker than splitting M * K + K * N numbers
// into limbs.
bool is_better_elementwise(const Matrices& left, const Matrices& right) {
  constexpr std::int64_t kFewProducts = 1 << 13;
  constexpr std::int64_t kManyProducts = 1 << 22;
  constexpr std::int64_t kFewRows = 4;
  const std::int64_t least = std::min(left.rows(), right.columns());
  if (least == 1) return true;
  return left.array.size() <= (least <= kFewRows ? kManyProducts : kFewProducts) / right.columns();
}

// Multiplies `[…, M, K]` and `[…, K, N]` element by element and sums over K. Which of the two
// layouts of the M * K * N products is taken decides whether the larger operand is read in order.
Array elementwise_product(const Matrices& left, const Matrices& right, DType type) {
  if (left.transposed && right.columns() < left.rows())
    return transpose_matrix(elementwise_product(right.transpose(), left.transpose(), type));
  const bool sums_columns = right.transposed || right.columns() < left.rows();
  const Array a = convert(left.view(), left.array.dtype(), type);
  const Array b =
      convert((sums_columns ? right.transpose() : right).view(), right.array.dtype(), type);
  // [.., M, 1, K] * [.., 1, N, K], or [.., M, K, 1] * [.., 1, K, N].
  const Array products = mlxc::multiply(new_axis(a, sums_columns ? -2 : -1), new_axis(b, -3));
  // MLX sums 8 and 16 bits as 32; casting back is the wrapping.
  return mlxc::astype(mlxc::sum(products, {sums_columns ? -1 : -2}), type);
}

}  // namespace

Array integer_matmul(const Matrices& left, const Matrices& right, DType type) {
  if (is_better_elementwise(left, right)) return elementwise_product(left, right, type);
  // Only the CPU has f64.
  const mlxc::StreamScope cpu(mlxc::Engine::current().stream(Device::kCpu));
  return exact_product(left.view(), right.view(), type);
}

}  // namespace mlxnx::ops
