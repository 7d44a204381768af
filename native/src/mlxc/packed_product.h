// Products with quantized matrices, and what these stand for, by the kernels of src/kernels on as
// many cores as are worth it. Elements in memory: nothing here knows graphs (packed_kernels.h).
#pragma once

#include <cstdint>

#include "kernels/quantized.h"

namespace mlxnx::mlxc {

/// Numbers in rows, one after the other.
struct FloatRows {
  void* data = nullptr;
  kernels::Float type = kernels::Float::kF32;
};

struct PackedProduct {
  kernels::QuantizedMatrix w;  ///< the first of one or more that follow one another
  bool transpose = true;       ///< whether rows of x are multiplied with rows of w
  FloatRows x;
  std::int64_t rows = 0;  ///< of x, or of each of its matrices
  std::int64_t x_matrices = 1;
  FloatRows out;
  /// Numbers of matrices of x and w, one pair for each of `count` products; null where there is
  /// one.
  const std::uint32_t* left = nullptr;
  const std::uint32_t* right = nullptr;
  std::int64_t count = 1;

  std::int64_t inner() const { return transpose ? w.columns : w.rows; }
  std::int64_t outer() const { return transpose ? w.rows : w.columns; }
};

/// Sums are f32, rounded once where the result is another type.
/// Throws: std::bad_alloc.
void multiply(const PackedProduct& product);

/// All weights of `w`. Throws: std::bad_alloc.
void unpack(const kernels::QuantizedMatrix& w, const FloatRows& out);

}  // namespace mlxnx::mlxc
