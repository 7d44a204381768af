// The BLAS that the exported functions forward to (Linux). It is loaded once, at the first use by
// any thread, and stays.
#pragma once

#include <array>
#include <complex>
#include <iterator>
#include <string>
#include <type_traits>

namespace mlxnx::mlxc {

/// CBLAS's numbers.
enum BlasOrder : int { kRowMajor = 101, kColumnMajor = 102 };
enum BlasTranspose : int { kNoTranspose = 111, kTranspose = 112, kConjugateTranspose = 113 };

// CBLAS passes complex scalars by address.
template <typename T>
using BlasScalar = std::conditional_t<std::is_floating_point_v<T>, T, const T*>;

template <typename T>
using Gemm = void (*)(int order, int trans_a, int trans_b, int m, int n, int k, BlasScalar<T> alpha,
                      const T* a, int lda, const T* b, int ldb, BlasScalar<T> beta, T* c, int ldc);

template <typename T>
using Gemv = void (*)(int order, int trans, int rows, int columns, BlasScalar<T> alpha, const T* a,
                      int lda, const T* x, int incx, BlasScalar<T> beta, T* y, int incy);

template <typename T>
using Dot = T (*)(int n, const T* x, int incx, const T* y, int incy);

/// What multiplies with a vector; null where the library has none.
template <typename T>
struct VectorKernels {
  Gemv<T> gemv = nullptr;
  Dot<T> dot = nullptr;
};

inline constexpr const char* kLapackNames[] = {
#define MLXNX_LAPACK(name, count) #name,
#include "mlxc/blas_symbols.def"
#undef MLXNX_LAPACK
};

using LapackFunction = void (*)();

struct BlasLibrary {
  std::string name;
  std::string path;
  std::string config;
  bool accelerated = false;
  bool single_threaded = false;  ///< a call uses the calling thread only and may run beside others

  Gemm<float> sgemm = nullptr;
  Gemm<double> dgemm = nullptr;
  Gemm<std::complex<float>> cgemm = nullptr;
  VectorKernels<float> f32_vectors;
  VectorKernels<double> f64_vectors;

  std::array<LapackFunction, std::size(kLapackNames)> lapack =
      {};  ///< in the order of kLapackNames
};

/// The chosen library, loaded by the first call. Ends the process when no library has the functions
/// that MLX needs.
const BlasLibrary& blas_library();

/// The most threads that one product may use.
int blas_threads();

}  // namespace mlxnx::mlxc
