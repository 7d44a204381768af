#include "mlx/linalg.h"

#include "convert.h"
#include "mlx/c/fft.h"
#include "mlx/c/linalg.h"

using namespace bundled_mlxc;

extern "C" {

#define MLXC_FFT(name)                                                                      \
  int mlx_fft_##name(mlx_array* res, const mlx_array a, int n, int axis, mlx_fft_norm norm, \
                     const mlx_stream s) {                                                  \
    return MLXC_CALL(res, core::fft::name, a, n, axis, norm, s);                            \
  }
#include "mlxc/functions.def"

int mlx_linalg_cholesky(mlx_array* res, const mlx_array a, bool upper, const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::cholesky, a, upper, s);
}
int mlx_linalg_eigh(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const char* UPLO,
                    const mlx_stream s) {
  return guard([&] { put_pair(res_0, res_1, MLXC_CONVERTED(core::linalg::eigh, a, UPLO, s)); });
}
int mlx_linalg_inv(mlx_array* res, const mlx_array a, const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::inv, a, s);
}
int mlx_linalg_lu(mlx_vector_array* res, const mlx_array a, const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::lu, a, s);
}
int mlx_linalg_qr(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s) {
  return guard([&] { put_pair(res_0, res_1, MLXC_CONVERTED(core::linalg::qr, a, s)); });
}
int mlx_linalg_solve(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::solve, a, b, s);
}
int mlx_linalg_solve_triangular(mlx_array* res, const mlx_array a, const mlx_array b, bool upper,
                                const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::solve_triangular, a, b, upper, s);
}
int mlx_linalg_svd(mlx_vector_array* res, const mlx_array a, bool compute_uv, const mlx_stream s) {
  return MLXC_CALL(res, core::linalg::svd, a, compute_uv, s);
}

}  // extern "C"
