// Matrix products of every Nx type: what `dot` and `conv` are made of.
#pragma once

#include <cstdint>

#include "mlxc/array.h"
#include "mlxnx/dtype.h"

namespace mlxnx::ops {

/// Matrices `[…, rows, columns]`, or those whose transposes `array` holds: a product chooses its
/// method by how the elements lie.
struct Matrices {
  mlxc::Array array;
  bool transposed = false;

  std::int64_t rows() const { return array.shape()[array.rank() - (transposed ? 1 : 2)]; }
  std::int64_t columns() const { return array.shape()[array.rank() - (transposed ? 2 : 1)]; }
  Matrices transpose() const { return {array, !transposed}; }
  /// The array as `[…, rows, columns]`, a view.
  mlxc::Array view() const;
};

/// `[…, M, K]` times `[…, K, N]` as `[…, M, N]`; leading dimensions are equal, or absent from one
/// operand. Operands are cast to `type`, which the result has too, unless that is a 16-bit float:
/// then it may be f32. No dimension may be 0. Integers are exact and wrap.
mlxc::Array matmul(const Matrices& left, const Matrices& right, DType type);

/// `matmul` for integer operands, whose types may differ, and an integer `type`.
mlxc::Array integer_matmul(const Matrices& left, const Matrices& right, DType type);

}  // namespace mlxnx::ops
