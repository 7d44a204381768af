// Factorisations of complex matrices, which MLX lacks: built column by column out of ordinary ops,
// for any batch. `a` is c64 with shape `[…, M, N]`; N rounds of a few nodes each.
#pragma once

#include "mlxc/graph.h"

namespace mlxnx::ops {

struct ColumnwiseLu {
  mlxc::Array rows;   ///< s32 `[…, N]`: row `i` of L U is row `rows[i]` of `a`
  mlxc::Array lower;  ///< unit lower triangular
  mlxc::Array upper;
};

/// LU with partial pivoting of square matrices; of real ones too, where LAPACK can't be had safely.
ColumnwiseLu columnwise_lu(const mlxc::Array& a);

/// L of L Lᴴ. A matrix that is not positive definite gives complex numbers or NaN, as in Nx.
mlxc::Array complex_cholesky(const mlxc::Array& a);

struct ComplexQr {
  mlxc::Array q;  ///< `[…, M, M]`
  mlxc::Array r;  ///< `[…, M, N]`
};

/// QR by Householder reflections; M at least N. Source: Golub and Van Loan, Matrix
/// Computations, 5.1.
ComplexQr complex_qr(const mlxc::Array& a);

/// X of A X = B for triangular A, `[…, N, N]` and `[…, N, K]`. `a` holds zeros in its other
/// triangle and none on its diagonal.
mlxc::Array complex_solve_triangular(const mlxc::Array& a, const mlxc::Array& b, bool upper);

}  // namespace mlxnx::ops
