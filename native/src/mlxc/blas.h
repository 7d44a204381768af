// Which BLAS and LAPACK do MLX's matrix products and decompositions on the CPU.
//
// On Linux libmlx imports them by name, and its wheel brings a slow reference library under these
// names. This library exports the same names and stands first in the lookup order, so the calls
// arrive here (blas_exports.cpp) and go on to the library that is chosen at the first call
// (blas_library.h). On macOS MLX calls Accelerate and nothing is forwarded.
//
// Environment, read at the first call:
//   MLXNX_BLAS           `bundled` (the OpenBLAS beside this library), `system` (the machine's
//   libopenblas), `reference`
//                        (what MLX would use by itself) or the path of a library. Default: bundled,
//                        system, reference.
//   MLXNX_BLAS_THREADS   as set_blas_threads. Default: OPENBLAS_NUM_THREADS or OMP_NUM_THREADS,
//   else the physical cores
//                        that this process may use.
#pragma once

#include <string>

namespace mlxnx::mlxc {

struct BlasInfo {
  std::string name;  ///< `OpenBLAS`, `Accelerate`, `reference`, or the file name of another library
  std::string path;  ///< file of the library; empty where MLX brings its own
  std::string
      config;        ///< version, build options and kernel as the library tells them; may be empty
  bool accelerated;  ///< false when only the reference library was found
  int threads;       ///< the most threads that one product uses; 0: the library decides
};

/// The BLAS in use; chooses it when no call has done so. Any thread.
BlasInfo blas_info();

/// Whether a LAPACK failure, such as an exactly singular matrix, arrives as a result. Elsewhere MLX
/// 0.31 ends the process over it, so that callers have to avoid it.
bool lapack_failure_is_a_result();

/// Sets the most threads that one large matrix product may use; below 1 restores the default.
/// Smaller products and LAPACK run on the calling thread. No effect on a library that decides by
/// itself. Any thread.
void set_blas_threads(int threads);

}  // namespace mlxnx::mlxc
