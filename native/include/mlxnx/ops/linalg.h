// Linear algebra over the last two axes; leading axes are batches. Runs on the CPU whatever the
// default device. Types: integers become f32; f16 and bf16 are computed in f32.
#pragma once

#include <string>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// Options of `triangular_solve`; the defaults are Nx's.
struct TriangularSolveOptions {
  bool lower = true;                 ///< which triangle of `a` is read
  bool left_side = true;             ///< A X = B; otherwise X A = B
  std::string transform_a = "none";  ///< "none", "transpose" or "conjugate"
};

/// Solves A X = B, or X A = B, for a triangular A.
/// Shapes: `a` `[…, N, N]`; `b` `[…, N]`, `[…, N, K]`, or `[…, K, N]` on the right side. Result: as
/// `b`. Throws: ShapeError; ArgumentError for a zero on a diagonal that is known already. A
/// singular matrix that is computed later gives NaN. Nx: Nx.LinAlg.triangular_solve
///
///     triangular_solve(tensor({{2.0, 0.0}, {1.0, 1.0}}), tensor({4.0, 3.0}));  // f32[2]
///     [2.0, 1.0]
Tensor triangular_solve(const Tensor& a, const Tensor& b,
                        const TriangularSolveOptions& options = {});

namespace linalg {

/// Lower triangular L of A = L Lᴴ.
/// Shapes: `[…, N, N]`, symmetric or Hermitian positive definite; NaN where it is not.
/// Throws: ShapeError. Nx: Nx.LinAlg.cholesky
Tensor cholesky(const Tensor& a);

/// Determinant of each matrix.
/// Shapes: `[…, N, N]` to `[…]`. Throws: ShapeError. Nx: Nx.LinAlg.determinant
Tensor determinant(const Tensor& a);

struct EighResult {
  Tensor eigenvalues;   ///< `[…, N]`, largest magnitude first
  Tensor eigenvectors;  ///< `[…, N, N]`, one in each column
};

/// Eigenvalues and eigenvectors of symmetric or Hermitian matrices; reads the lower triangle.
/// Shapes: `[…, N, N]`. A matrix with NaN or infinities gives NaN. Throws: ShapeError. Nx:
/// Nx.LinAlg.eigh
EighResult eigh(const Tensor& a);

struct LuResult {
  Tensor p;  ///< permutation matrix, of the type of `a`
  Tensor l;  ///< unit lower triangular
  Tensor u;  ///< upper triangular
};

/// A = P L U with partial pivoting.
/// Shapes: `[…, N, N]`. Throws: ShapeError. Nx: Nx.LinAlg.lu
LuResult lu(const Tensor& a);

struct QrResult {
  Tensor q;  ///< `[…, M, K]`, or `[…, M, M]` when complete
  Tensor r;  ///< `[…, K, N]`, or `[…, M, N]` when complete; K is the smaller of M and N
};

/// A = Q R with orthonormal Q and upper triangular R, whose diagonal has Nx's signs.
/// Shapes: `[…, M, N]`. `mode`: "reduced" or "complete". Throws: ShapeError, ArgumentError. Nx:
/// Nx.LinAlg.qr
QrResult qr(const Tensor& a, const std::string& mode = "reduced");

struct SvdResult {
  Tensor u;   ///< `[…, M, M]`, or `[…, M, K]`
  Tensor s;   ///< `[…, K]`, largest first; K is the smaller of M and N
  Tensor vt;  ///< `[…, N, N]`, or `[…, K, N]`
};

/// A = U S Vᵀ.
/// Shapes: `[…, M, N]`. `full_matrices`: square U and Vᵀ. A matrix with NaN or infinities gives
/// NaN. Throws: ShapeError; UnsupportedError for complex matrices, as in Nx. Nx: Nx.LinAlg.svd
SvdResult svd(const Tensor& a, bool full_matrices = true);

/// X of A X = B; NaN where A is singular.
/// Shapes: `a` `[…, N, N]`, `b` `[…, N]` or `[…, N, K]`. Throws: ShapeError. Nx: Nx.LinAlg.solve
///
///     linalg::solve(tensor({{3.0, 0.0}, {0.0, 2.0}}), tensor({6.0, 8.0}));  // f32[2] [2.0, 4.0]
Tensor solve(const Tensor& a, const Tensor& b);

}  // namespace linalg
}  // namespace mlxnx
