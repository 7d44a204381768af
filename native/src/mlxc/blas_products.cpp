// The matrix products that libmlx imports, exported in front of the wheel's slow ones.
//
// A small f32 product is computed here and rounded once, in about the time of a call. A product
// with a vector goes to gemv, which is several times faster, in runs of its inputs whose results
// are added in pairs: gemv alone adds up to a million products one after the other, and loses a
// digit for each power of ten. A large product is split over threads.
// The library itself is kept at one thread: OpenBLAS divides a product beforehand and waits for all
// of its threads, so that on a machine with other work a small one takes hundreds of times longer.
// Here a late thread costs at most one part (crew.h).

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "mlxc/blas_library.h"
#include "mlxc/crew.h"

namespace mlxnx::mlxc {
namespace {

/// C = alpha op(A) op(B) + beta C in row-major order, with C of shape [m, n] and k columns in
/// op(A).
template <typename T>
struct Product {
  int trans_a, trans_b;
  int m, n, k;
  BlasScalar<T> alpha;
  const T* a;
  int lda;
  const T* b;
  int ldb;
  BlasScalar<T> beta;
  T* c;
  int ldc;

  bool a_transposed() const { return trans_a != kNoTranspose; }
  bool b_transposed() const { return trans_b != kNoTranspose; }

  /// The same product of column-major matrices is the row-major product of the operands in the
  /// other order.
  void swap_order() {
    std::swap(trans_a, trans_b);
    std::swap(m, n);
    std::swap(a, b);
    std::swap(lda, ldb);
  }

  void run(Gemm<T> gemm) const {
    gemm(kRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  }

  /// The part that fills rows [row, row + rows) and columns [column, column + columns) of C.
  Product block(int row, int rows, int column, int columns) const {
    Product part = *this;
    part.m = rows;
    part.n = columns;
    part.a += a_transposed() ? row : std::ptrdiff_t{row} * lda;
    part.b += b_transposed() ? std::ptrdiff_t{column} * ldb : column;
    part.c += std::ptrdiff_t{row} * ldc + column;
    return part;
  }
};

// Up to so many multiplications the library is not noticeably faster.
constexpr std::int64_t kFewMultiplications = 256;

/// Sums in double and rounds once.
void multiply_few(const Product<float>& p) {
  const std::ptrdiff_t a_row = p.a_transposed() ? 1 : p.lda, a_step = p.a_transposed() ? p.lda : 1;
  const std::ptrdiff_t b_step = p.b_transposed() ? 1 : p.ldb,
                       b_column = p.b_transposed() ? p.ldb : 1;
  for (int i = 0; i < p.m; ++i) {
    for (int j = 0; j < p.n; ++j) {
      const float* a = p.a + i * a_row;
      const float* b = p.b + j * b_column;
      double sum = 0;
      for (int l = 0; l < p.k; ++l, a += a_step, b += b_step) sum += double(*a) * double(*b);
      float& c = p.c[std::ptrdiff_t{i} * p.ldc + j];
      const double old = p.beta == 0 ? 0 : double(p.beta) * double(c);
      c = static_cast<float>(double(p.alpha) * sum + old);
    }
  }
}

/// y = alpha op(A) x + beta y, with a row-major A.
template <typename T>
struct VectorProduct {
  int trans;
  int outputs, inputs;
  T alpha;
  const T* a;
  int lda;
  const T* x;
  int incx;
  T beta;
  T* y;
  int incy;

  /// A product with one row (`m` is 1) or one column.
  explicit VectorProduct(const Product<T>& p) : alpha(p.alpha), beta(p.beta), y(p.c) {
    inputs = p.k;
    if (p.m == 1) {
      trans = p.b_transposed() ? kNoTranspose : kTranspose;
      outputs = p.n;
      a = p.b, lda = p.ldb;
      x = p.a, incx = p.a_transposed() ? p.lda : 1;
      incy = 1;
    } else {
      trans = p.a_transposed() ? kTranspose : kNoTranspose;
      outputs = p.m;
      a = p.a, lda = p.lda;
      x = p.b, incx = p.b_transposed() ? 1 : p.ldb;
      incy = p.ldc;
    }
  }

  /// Computes outputs [first, first + count).
  void run(const VectorKernels<T>& blas, int first, int count) const {
    T* out = y + std::ptrdiff_t{first} * incy;
    const int run = run_length(blas);
    if (inputs <= run && !are_dots(blas)) {
      T scale = beta;
      if (beta == T(0)) {
        // y may hold anything then; some OpenBLAS versions multiply a NaN there by 0 and keep it.
        for (int i = 0; i < count; ++i) out[std::ptrdiff_t{i} * incy] = T(0);
        scale = T(1);
      }
      return call(blas.gemv, {first, count, 0, inputs}, scale, out, incy);
    }
    // Outputs at a time: few rows, so that memory is read nearly in its order, and as many columns
    // as have sums that stay in the cache.
    const int tile = trans == kNoTranspose ? 64 : 2048;
    std::size_t depth = 1;
    for (int length = inputs; length > run; length = length / 2 + 1) ++depth;
    std::vector<T> sums(depth * static_cast<std::size_t>(std::min(count, tile)));
    for (int done = 0; done < count; done += tile) {
      const int size = std::min(tile, count - done);
      add_up(blas, {first + done, size, 0, inputs}, sums.data());
      for (int i = 0; i < size; ++i) {
        T& result = out[std::ptrdiff_t{done + i} * incy];
        result = beta == T(0) ? sums[i] : beta * result + sums[i];
      }
    }
  }

 private:
  struct Block {
    int first, count;   // outputs
    int begin, length;  // inputs
  };

  /// Whether the outputs are to be had one by one, by a function for that: of few rows it is as
  /// fast, and sums the more precisely.
  bool are_dots(const VectorKernels<T>& blas) const {
    constexpr int kFew = 8;
    const bool are_rows = trans == kNoTranspose || (outputs == 1 && lda == 1);
    return blas.dot != nullptr && incx == 1 && are_rows && outputs < kFew;
  }

  /// Inputs that the library may sum on its own: in several interleaved sums along rows, in one
  /// down columns.
  int run_length(const VectorKernels<T>& blas) const {
    return are_dots(blas) ? 1024 : trans == kNoTranspose ? 512 : 128;
  }

  void call(Gemv<T> gemv, const Block& block, T scale, T* out, int step) const {
    const auto [first, count, begin, length] = block;
    const T* from = x + std::ptrdiff_t{begin} * incx;
    if (trans == kNoTranspose) {
      gemv(kRowMajor, trans, count, length, alpha, a + std::ptrdiff_t{first} * lda + begin, lda,
           from, incx, scale, out, step);
    } else {
      gemv(kRowMajor, trans, length, count, alpha, a + std::ptrdiff_t{begin} * lda + first, lda,
           from, incx, scale, out, step);
    }
  }

  /// Sums the block pairwise into `sums`, whose first elements become the result.
  void add_up(const VectorKernels<T>& blas, const Block& block, T* sums) const {
    const auto [first, count, begin, length] = block;
    const int run = run_length(blas);
    if (length <= run) {
      if (are_dots(blas)) {
        for (int i = 0; i < count; ++i)
          sums[i] = alpha *
                    blas.dot(length, a + std::ptrdiff_t{first + i} * lda + begin, 1, x + begin, 1);
        return;
      }
      std::fill_n(sums, count, T(0));
      return call(blas.gemv, block, T(1), sums, 1);
    }
    int half = run;
    while (half < length - half) half *= 2;
    T* const others = sums + count;
    add_up(blas, {first, count, begin, half}, sums);
    add_up(blas, {first, count, begin + half, length - half}, others);
    for (int i = 0; i < count; ++i) sums[i] += others[i];
  }
};

/// Where part `i` of `parts` begins; parts keep to whole tiles of the kernels.
int part_begin(int size, int parts, int i) {
  constexpr int kTile = 16;
  return i == parts ? size : static_cast<int>(std::int64_t{size} * i / parts) / kTile * kTile;
}

// What each thread should get. Cores share the memory that a product with a vector waits for.
constexpr double kLeastMultiplications = 1 << 20;
constexpr double kLeastElements = 1 << 18;

// Work that lasts is cut finer, so that a thread which others hold up costs less.
int parts_for(double cost, double least, int threads) {
  constexpr double kLasting = 16;
  return cost > kLasting * least * threads ? 2 * threads : threads;
}

template <typename T>
void multiply_vector(const VectorProduct<T>& p, const VectorKernels<T>& blas, bool split) {
  const double cost = double(p.outputs) * p.inputs * (sizeof(T) / sizeof(float));
  const int threads = split ? threads_for(cost, kLeastElements) : 1;
  if (threads == 1) return p.run(blas, 0, p.outputs);
  const int parts = parts_for(cost, kLeastElements, threads);
  Crew::process().run(parts, threads, [&](int i) {
    const int first = part_begin(p.outputs, parts, i);
    const int count = part_begin(p.outputs, parts, i + 1) - first;
    if (count > 0) p.run(blas, first, count);
  });
}

constexpr int kLeastSide = 64;

template <typename T>
void multiply(const Product<T>& p, Gemm<T> gemm, bool split) {
  const double cost = double(p.m) * p.n * p.k * (sizeof(T) / sizeof(float));
  const int threads = split ? threads_for(cost, kLeastMultiplications) : 1;
  if (threads == 1) return p.run(gemm);
  const int parts = parts_for(cost, kLeastMultiplications, threads);
  int row_parts = 1;
  int column_parts = 1;
  while (row_parts * column_parts < parts) {
    const int height = p.m / row_parts;
    const int width = p.n / column_parts;
    if (std::max(height, width) < 2 * kLeastSide) break;
    (height >= width ? row_parts : column_parts) *= 2;
  }
  Crew::process().run(row_parts * column_parts, threads, [&](int i) {
    const int row = part_begin(p.m, row_parts, i / column_parts);
    const int row_end = part_begin(p.m, row_parts, i / column_parts + 1);
    const int column = part_begin(p.n, column_parts, i % column_parts);
    const int column_end = part_begin(p.n, column_parts, i % column_parts + 1);
    p.block(row, row_end - row, column, column_end - column).run(gemm);
  });
}

/// A product with few outputs of long sums, run by run.
template <typename T>
void multiply_long(const Product<T>& p, Gemm<T> gemm) {
  constexpr bool kIsReal = std::is_floating_point_v<T>;
  constexpr int kRun = 1024;
  static constexpr T kZero = 0;
  const auto outputs = std::size_t(p.m) * std::size_t(p.n);
  std::vector<T> part(outputs);
  std::vector<std::conditional_t<kIsReal, double, std::complex<double>>> sums(outputs);
  for (int begin = 0; begin < p.k; begin += kRun) {
    Product<T> run = p;
    run.k = std::min(kRun, p.k - begin);
    run.a += p.a_transposed() ? std::ptrdiff_t{begin} * p.lda : begin;
    run.b += p.b_transposed() ? begin : std::ptrdiff_t{begin} * p.ldb;
    if constexpr (kIsReal) {
      run.beta = kZero;
    } else {
      run.beta = &kZero;
    }
    run.c = part.data();
    run.ldc = p.n;
    run.run(gemm);
    for (std::size_t i = 0; i < outputs; ++i) sums[i] += part[i];
  }
  for (std::size_t i = 0; i < outputs; ++i) {
    T& result = p.c[std::ptrdiff_t(i) / p.n * p.ldc + std::ptrdiff_t(i) % p.n];
    const auto sum = static_cast<T>(sums[i]);
    T beta;
    if constexpr (kIsReal) {
      beta = p.beta;
    } else {
      beta = *p.beta;
    }
    result = beta == T(0) ? sum : beta * result + sum;
  }
}

// Outputs and inputs of a product that is put together of runs.
constexpr std::int64_t kFewOutputs = 4096;
constexpr int kLongSum = 1 << 14;

template <typename T>
void route(int order, Product<T> p, Gemm<T> gemm, const VectorKernels<T>& vector, bool split) {
  const auto known = [](int trans) {
    return kNoTranspose <= trans && trans <= kConjugateTranspose;
  };
  const bool regular = (order == kRowMajor || order == kColumnMajor) && known(p.trans_a) &&
                       known(p.trans_b) && p.m > 0 && p.n > 0 && p.k > 0;
  if (!regular) {
    gemm(order, p.trans_a, p.trans_b, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c,
         p.ldc);
    return;
  }
  if (order == kColumnMajor) p.swap_order();
  if constexpr (std::is_same_v<T, float>) {
    if (std::int64_t{p.m} * p.n <= kFewMultiplications / p.k) return multiply_few(p);
  }
  if constexpr (std::is_floating_point_v<T>) {
    if (vector.gemv != nullptr && (p.m == 1 || p.n == 1)) {
      return multiply_vector(VectorProduct<T>(p), vector, split);
    }
  }
  // Outputs that several cores would share are left to them: their sums are blocked already.
  constexpr int kShared = 2 * kLeastSide;
  const bool is_small =
      std::is_same_v<T, float> ? p.m < kShared && p.n < kShared : !std::is_same_v<T, double>;
  if (is_small && p.k > kLongSum && std::int64_t{p.m} * p.n <= kFewOutputs)
    return multiply_long(p, gemm);
  multiply(p, gemm, split);
}

}  // namespace
}  // namespace mlxnx::mlxc

using mlxnx::mlxc::blas_library;
using mlxnx::mlxc::BlasLibrary;

#define MLXNX_EXPORT extern "C" __attribute__((visibility("default")))

MLXNX_EXPORT void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                              const float* a, int lda, const float* b, int ldb, float beta,
                              float* c, int ldc) {
  const BlasLibrary& blas = blas_library();
  mlxnx::mlxc::route<float>(order, {trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc},
                            blas.sgemm, blas.f32_vectors, blas.single_threaded);
}

MLXNX_EXPORT void cblas_dgemm(int order, int trans_a, int trans_b, int m, int n, int k,
                              double alpha, const double* a, int lda, const double* b, int ldb,
                              double beta, double* c, int ldc) {
  const BlasLibrary& blas = blas_library();
  mlxnx::mlxc::route<double>(order,
                             {trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc},
                             blas.dgemm, blas.f64_vectors, blas.single_threaded);
}

MLXNX_EXPORT void cblas_cgemm(int order, int trans_a, int trans_b, int m, int n, int k,
                              const std::complex<float>* alpha, const std::complex<float>* a,
                              int lda, const std::complex<float>* b, int ldb,
                              const std::complex<float>* beta, std::complex<float>* c, int ldc) {
  const BlasLibrary& blas = blas_library();
  mlxnx::mlxc::route<std::complex<float>>(
      order, {trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc}, blas.cgemm, {},
      blas.single_threaded);
}
