// The exported matrix products: right for every layout, with a vector, and split over threads.

#include <gtest/gtest.h>

#include "mlxc/blas.h"

#if defined(__linux__)

#include <complex>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

using Complex = std::complex<float>;

extern "C" {
void cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                 float*, int);
void cblas_dgemm(int, int, int, int, int, int, double, const double*, int, const double*, int,
                 double, double*, int);
void cblas_cgemm(int, int, int, int, int, int, const Complex*, const Complex*, int, const Complex*,
                 int, const Complex*, Complex*, int);
}

namespace mlxnx::mlxc {
namespace {

constexpr int kRowMajor = 101, kColumnMajor = 102;
constexpr int kNoTranspose = 111, kTranspose = 112, kConjugateTranspose = 113;

void gemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda,
          const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void gemm(int order, int ta, int tb, int m, int n, int k, double alpha, const double* a, int lda,
          const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void gemm(int order, int ta, int tb, int m, int n, int k, Complex alpha, const Complex* a, int lda,
          const Complex* b, int ldb, Complex beta, Complex* c, int ldc) {
  cblas_cgemm(order, ta, tb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc);
}

float conjugate(float x) { return x; }
double conjugate(double x) { return x; }
Complex conjugate(Complex x) { return std::conj(x); }

/// Small whole numbers, so that sums are exact in any order.
template <typename T>
std::vector<T> whole_numbers(std::size_t count, unsigned seed) {
  std::vector<T> values(count);
  for (T& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = T(static_cast<int>(seed >> 24) % 5 - 2);
    if constexpr (std::is_same_v<T, Complex>) value += Complex(0, static_cast<int>(seed >> 16) % 3);
  }
  return values;
}

/// A stored matrix: element (i, j) of op(A), where A has leading dimension `ld`.
template <typename T>
T element(const std::vector<T>& a, int ld, int order, int trans, int i, int j) {
  if (trans != kNoTranspose) std::swap(i, j);
  const std::size_t at = order == kRowMajor ? std::size_t(i) * ld + j : std::size_t(j) * ld + i;
  return trans == kConjugateTranspose ? conjugate(a[at]) : a[at];
}

/// The length of a row (row-major) or column (column-major) of the stored matrix op(A)[rows, cols].
int leading(int order, int trans, int rows, int cols) {
  return (order == kRowMajor) == (trans == kNoTranspose) ? cols : rows;
}

template <typename T>
void check_product(int order, int ta, int tb, int m, int n, int k, T alpha, T beta) {
  SCOPED_TRACE(testing::Message() << "order " << order << " transposes " << ta << " " << tb << " m "
                                  << m << " n " << n << " k " << k << " beta " << beta);
  const int lda = leading(order, ta, m, k) + 2;
  const int ldb = leading(order, tb, k, n) + 1;
  const int ldc = leading(order, kNoTranspose, m, n) + 3;
  const auto a = whole_numbers<T>(std::size_t(lda) * (m + k), 1);
  const auto b = whole_numbers<T>(std::size_t(ldb) * (n + k), 2);
  auto c = whole_numbers<T>(std::size_t(ldc) * (m + n), 3);
  if (beta == T(0)) c.assign(c.size(), std::numeric_limits<float>::quiet_NaN());
  const auto before = c;
  gemm(order, ta, tb, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      T sum = 0;
      for (int l = 0; l < k; ++l) {
        sum += element(a, lda, order, ta, i, l) * element(b, ldb, order, tb, l, j);
      }
      const T old = beta == T(0) ? T(0) : beta * element(before, ldc, order, kNoTranspose, i, j);
      ASSERT_EQ(element(c, ldc, order, kNoTranspose, i, j), alpha * sum + old) << i << ", " << j;
    }
  }
}

template <typename T>
class BlasProduct : public testing::Test {};
using ProductTypes = testing::Types<float, double, Complex>;
TYPED_TEST_SUITE(BlasProduct, ProductTypes);

TYPED_TEST(BlasProduct, IsRightForEveryLayout) {
  const int shapes[][3] = {{3, 4, 5}, {1, 7, 5}, {7, 1, 5}, {1, 1, 6}, {1, 9, 1}, {33, 40, 50}};
  for (const auto& [m, n, k] : shapes) {
    for (int order : {kRowMajor, kColumnMajor}) {
      for (int ta : {kNoTranspose, kTranspose, kConjugateTranspose}) {
        for (int tb : {kNoTranspose, kTranspose, kConjugateTranspose}) {
          for (int beta : {0, 1, 3}) {
            check_product<TypeParam>(order, ta, tb, m, n, k, TypeParam(2), TypeParam(beta));
          }
        }
      }
    }
  }
}

TEST(BlasProducts, FewMultiplicationsAreRoundedOnce) {
  const std::vector<float> a = {1e8f, 1, -1e8f, 3}, b = {1, 0.25f, 1, 0.5f};
  float c = 0;
  cblas_sgemm(kRowMajor, kNoTranspose, kNoTranspose, 1, 1, 4, 1, a.data(), 4, b.data(), 1, 0, &c,
              1);
  EXPECT_EQ(c, 1.75f);
}

TYPED_TEST(BlasProduct, WithoutInnerDimensionScalesTheResult) {
  std::vector<TypeParam> c = {1, 2, 3};
  const TypeParam unused = 0;
  gemm(kRowMajor, kNoTranspose, kNoTranspose, 1, 3, 0, TypeParam(1), &unused, 1, &unused, 3,
       TypeParam(2), c.data(), 3);
  EXPECT_EQ(c, (std::vector<TypeParam>{2, 4, 6}));
}

template <typename T>
void expect_same_on_threads(int m, int n, int k, int ta, int tb) {
  const int lda = leading(kRowMajor, ta, m, k);
  const int ldb = leading(kRowMajor, tb, k, n);
  const auto a = whole_numbers<T>(std::size_t(m) * k, 5);
  const auto b = whole_numbers<T>(std::size_t(k) * n, 6);
  std::vector<T> results[2] = {std::vector<T>(std::size_t(m) * n, T(-1)), {}};
  results[1] = results[0];
  for (int threads : {1, 5}) {
    set_blas_threads(threads);
    gemm(kRowMajor, ta, tb, m, n, k, T(1), a.data(), lda, b.data(), ldb, T(2),
         results[threads > 1].data(), n);
  }
  set_blas_threads(0);
  EXPECT_TRUE(results[0] == results[1]) << m << " " << n << " " << k;
}

TEST(BlasThreads, SplitProductsGiveTheSameResult) {
  for (int trans : {kNoTranspose, kTranspose}) {
    expect_same_on_threads<float>(1003, 997, 801, trans, kNoTranspose);
    expect_same_on_threads<float>(40000, 70, 200, kNoTranspose, trans);
    expect_same_on_threads<double>(517, 900, 611, trans, trans);
    expect_same_on_threads<Complex>(530, 400, 700, kNoTranspose, trans);
    expect_same_on_threads<float>(1, 6100, 6000, kNoTranspose, trans);
    expect_same_on_threads<double>(4999, 1, 4001, trans, kNoTranspose);
  }
}

TEST(BlasThreads, CanBeSetAndRestored) {
  const int usual = blas_info().threads;
  if (usual == 0) GTEST_SKIP() << blas_info().name << " decides about threads by itself";
  set_blas_threads(3);
  EXPECT_EQ(blas_info().threads, 3);
  set_blas_threads(0);
  EXPECT_EQ(blas_info().threads, usual);
}

}  // namespace
}  // namespace mlxnx::mlxc

#endif
