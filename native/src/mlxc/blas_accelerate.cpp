// Platforms where MLX finds its BLAS by itself: Accelerate on macOS.

#include "mlxc/blas.h"

namespace mlxnx::mlxc {

BlasInfo blas_info() {
#if defined(__APPLE__)
  return {.name = "Accelerate", .path = "", .config = "", .accelerated = true, .threads = 0};
#else
  return {.name = "unknown", .path = "", .config = "", .accelerated = false, .threads = 0};
#endif
}

void set_blas_threads(int) {}

bool lapack_failure_is_a_result() { return false; }

}  // namespace mlxnx::mlxc
