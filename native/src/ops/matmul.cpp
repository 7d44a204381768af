#include "ops/matmul.h"

#include <algorithm>

#include "mlxc/graph.h"
#include "ops/matrix.h"
#include "ops/operands.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// MLX 0.31 multiplies 16-bit floats on the CPU in a loop of its own that no BLAS speeds up, and
// that adds one product after the other, so f32 is better except where casting costs more than
// multiplying: a few numbers, or a few rows against a matrix that no cache holds.
bool is_better_as_f32(const Matrices& left, const Matrices& right) {
  constexpr std::int64_t kFewProducts = 1 << 13;
  constexpr std::int64_t kFewRows = 4;
  constexpr std::int64_t kLargeMatrix = 1 << 22;
  constexpr std::int64_t kLongSum = 1 << 15;
  if (!on_cpu()) return false;
  if (left.array.size() <= kFewProducts / right.columns()) return false;
  if (left.columns() > kLongSum) return true;
  const bool is_thin = std::min(left.rows(), right.columns()) <= kFewRows;
  return !is_thin || std::max(left.array.size(), right.array.size()) < kLargeMatrix;
}

Array view_as(const Matrices& matrices, DType type) {
  return Matrices{convert(matrices.array, matrices.array.dtype(), type), matrices.transposed}
      .view();
}

}  // namespace

Array Matrices::view() const { return transposed ? transpose_matrix(array) : array; }

Array matmul(const Matrices& left, const Matrices& right, DType type) {
  if (is_integer(type)) return integer_matmul(left, right, type);
  // An integer may be too large for a half float that holds the result.
  const bool is_mixed = is_integer(left.array.dtype()) || is_integer(right.array.dtype());
  const bool is_f32 = bits(type) == 16 && (is_mixed || is_better_as_f32(left, right));
  const DType inner = is_f32 ? DType::f32 : type;
  const Array a = view_as(left, inner), b = view_as(right, inner);
  // A BLAS takes several times as long to write such a product as memory does. The sum of a single
  // -0.0 is 0.0.
  const bool is_outer = left.columns() == 1 && on_cpu();
  return is_outer ? mlxc::add(mlxc::multiply(a, b), constant(0.0, inner)) : mlxc::matmul(a, b);
}

}  // namespace mlxnx::ops
