// The exported LAPACK functions, each on a 2x2 problem (column-major) with a known answer.

#include <gtest/gtest.h>

#if defined(__linux__)

#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <thread>
#include <vector>

using Complex = std::complex<float>;
using Length = std::size_t;  // Fortran passes the length of each text at the end

#define DECLARE_REAL_LAPACK(T, x)                                                                 \
  void x##potrf_(const char*, const int*, T*, const int*, int*, Length);                          \
  void x##getrf_(const int*, const int*, T*, const int*, int*, int*);                             \
  void x##getri_(const int*, T*, const int*, const int*, T*, const int*, int*);                   \
  void x##trtri_(const char*, const char*, const int*, T*, const int*, int*, Length, Length);     \
  void x##geqrf_(const int*, const int*, T*, const int*, T*, T*, const int*, int*);               \
  void x##orgqr_(const int*, const int*, const int*, T*, const int*, const T*, T*, const int*,    \
                 int*);                                                                           \
  void x##syevd_(const char*, const char*, const int*, T*, const int*, T*, T*, const int*, int*,  \
                 const int*, int*, Length, Length);                                               \
  void x##gesdd_(const char*, const int*, const int*, T*, const int*, T*, T*, const int*, T*,     \
                 const int*, T*, const int*, int*, int*, Length);                                 \
  void x##geev_(const char*, const char*, const int*, T*, const int*, T*, T*, T*, const int*, T*, \
                const int*, T*, const int*, int*, Length, Length);

extern "C" {
DECLARE_REAL_LAPACK(float, s)
DECLARE_REAL_LAPACK(double, d)
void cheevd_(const char*, const char*, const int*, Complex*, const int*, float*, Complex*,
             const int*, float*, const int*, int*, const int*, int*, Length, Length);
void cgesdd_(const char*, const int*, const int*, Complex*, const int*, float*, Complex*,
             const int*, Complex*, const int*, Complex*, const int*, float*, int*, int*, Length);
void cgeev_(const char*, const char*, const int*, Complex*, const int*, Complex*, Complex*,
            const int*, Complex*, const int*, Complex*, const int*, float*, int*, Length, Length);
}

namespace mlxnx::mlxc {
namespace {

template <typename T>
struct Lapack;

#define WRAP_REAL_LAPACK(T, x)               \
  template <>                                \
  struct Lapack<T> {                         \
    static constexpr auto potrf = x##potrf_; \
    static constexpr auto getrf = x##getrf_; \
    static constexpr auto getri = x##getri_; \
    static constexpr auto trtri = x##trtri_; \
    static constexpr auto geqrf = x##geqrf_; \
    static constexpr auto orgqr = x##orgqr_; \
    static constexpr auto syevd = x##syevd_; \
    static constexpr auto gesdd = x##gesdd_; \
    static constexpr auto geev = x##geev_;   \
  };

WRAP_REAL_LAPACK(float, s)
WRAP_REAL_LAPACK(double, d)

template <>
struct Lapack<Complex> {};

constexpr int kTwo = 2;
constexpr int kWork = 256;

/// Operands of a call and its answers.
template <typename T>
struct Problem {
  using Real = decltype(std::abs(T()));
  Lapack<T> lapack;
  std::array<T, 4> a = {}, left = {}, right = {};
  std::array<T, 2> vector = {};
  std::array<Real, 2> values = {}, imaginary = {};
  std::array<T, kWork> work = {};
  std::array<Real, kWork> real_work = {};
  std::array<int, kWork> integers = {};
  int info = -1;

  void expect_matrix(std::array<T, 4> expected) const {
    EXPECT_EQ(info, 0);
    for (int i = 0; i < 4; ++i) EXPECT_NEAR(std::abs(a[i] - expected[i]), 0, 1e-6) << "at " << i;
  }

  void expect_values(Real first, Real second) const {
    EXPECT_EQ(info, 0);
    EXPECT_NEAR(values[0], first, 1e-6);
    EXPECT_NEAR(values[1], second, 1e-6);
  }
};

template <typename Body>
void on_real_types(const Body& body) {
  Problem<float> single_precision;
  body(single_precision);
  Problem<double> double_precision;
  body(double_precision);
}

TEST(BlasLapack, PotrfFactorsAPositiveMatrix) {
  on_real_types([](auto& p) {
    p.a = {4, 2, 2, 5};
    p.lapack.potrf("L", &kTwo, p.a.data(), &kTwo, &p.info, 1);
    p.expect_matrix({2, 1, 2, 2});
  });
}

TEST(BlasLapack, GetrfAndGetriInvert) {
  on_real_types([](auto& p) {
    std::array<int, 2> pivots;
    p.a = {0, 1, 2, 0};
    p.lapack.getrf(&kTwo, &kTwo, p.a.data(), &kTwo, pivots.data(), &p.info);
    p.expect_matrix({1, 0, 0, 2});
    p.lapack.getri(&kTwo, p.a.data(), &kTwo, pivots.data(), p.work.data(), &kWork, &p.info);
    p.expect_matrix({0, 0.5, 1, 0});
  });
}

TEST(BlasLapack, TrtriInvertsATriangle) {
  on_real_types([](auto& p) {
    p.a = {2, 1, 0, 4};
    p.lapack.trtri("L", "N", &kTwo, p.a.data(), &kTwo, &p.info, 1, 1);
    p.expect_matrix({0.5, -0.125, 0, 0.25});
  });
}

TEST(BlasLapack, GeqrfAndOrgqrFactor) {
  on_real_types([](auto& p) {
    p.a = {3, 4, 0, 5};
    p.lapack.geqrf(&kTwo, &kTwo, p.a.data(), &kTwo, p.vector.data(), p.work.data(), &kWork,
                   &p.info);
    EXPECT_NEAR(p.a[0], -5, 1e-6);
    EXPECT_NEAR(p.a[2], -4, 1e-6);
    p.lapack.orgqr(&kTwo, &kTwo, &kTwo, p.a.data(), &kTwo, p.vector.data(), p.work.data(), &kWork,
                   &p.info);
    EXPECT_NEAR(p.a[0], -0.6, 1e-6);
    EXPECT_NEAR(p.a[1], -0.8, 1e-6);
    EXPECT_EQ(p.info, 0);
  });
}

TEST(BlasLapack, SyevdFindsEigenvalues) {
  on_real_types([](auto& p) {
    p.a = {2, 1, 1, 2};
    p.lapack.syevd("V", "L", &kTwo, p.a.data(), &kTwo, p.values.data(), p.work.data(), &kWork,
                   p.integers.data(), &kWork, &p.info, 1, 1);
    p.expect_values(1, 3);
  });
}

TEST(BlasLapack, GesddFindsSingularValues) {
  on_real_types([](auto& p) {
    p.a = {0, 3, -2, 0};
    p.lapack.gesdd("A", &kTwo, &kTwo, p.a.data(), &kTwo, p.values.data(), p.left.data(), &kTwo,
                   p.right.data(), &kTwo, p.work.data(), &kWork, p.integers.data(), &p.info, 1);
    p.expect_values(3, 2);
  });
}

TEST(BlasLapack, GeevFindsAConjugatePair) {
  on_real_types([](auto& p) {
    p.a = {0, 1, -1, 0};
    p.lapack.geev("N", "V", &kTwo, p.a.data(), &kTwo, p.values.data(), p.imaginary.data(),
                  p.left.data(), &kTwo, p.right.data(), &kTwo, p.work.data(), &kWork, &p.info, 1,
                  1);
    p.expect_values(0, 0);
    EXPECT_NEAR(p.imaginary[0], 1, 1e-6);
    EXPECT_NEAR(p.imaginary[1], -1, 1e-6);
  });
}

TEST(BlasLapack, ComplexFunctionsSolveTheirProblems) {
  Problem<Complex> p;
  p.a = {2, Complex(0, 1), Complex(0, -1), 2};
  cheevd_("V", "L", &kTwo, p.a.data(), &kTwo, p.values.data(), p.work.data(), &kWork,
          p.real_work.data(), &kWork, p.integers.data(), &kWork, &p.info, 1, 1);
  p.expect_values(1, 3);
  p.a = {0, Complex(0, 3), -2, 0};
  cgesdd_("A", &kTwo, &kTwo, p.a.data(), &kTwo, p.values.data(), p.left.data(), &kTwo,
          p.right.data(), &kTwo, p.work.data(), &kWork, p.real_work.data(), p.integers.data(),
          &p.info, 1);
  p.expect_values(3, 2);
  p.a = {Complex(0, 1), 0, 5, 2};
  cgeev_("N", "V", &kTwo, p.a.data(), &kTwo, p.vector.data(), p.left.data(), &kTwo, p.right.data(),
         &kTwo, p.work.data(), &kWork, p.real_work.data(), &p.info, 1, 1);
  EXPECT_EQ(p.info, 0);
  EXPECT_NEAR(std::abs(p.vector[0] - Complex(0, 1)), 0, 1e-6);
  EXPECT_NEAR(std::abs(p.vector[1] - Complex(2)), 0, 1e-6);
}

// In a suite of its own, so that ctest runs it where nothing else has used BLAS before.
TEST(BlasFirstUse, MayComeFromManyThreadsAtOnce) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      Problem<float> p;
      p.a = {4, 2, 2, 5};
      p.lapack.potrf("L", &kTwo, p.a.data(), &kTwo, &p.info, 1);
      p.expect_matrix({2, 1, 2, 2});
    });
  }
}

}  // namespace
}  // namespace mlxnx::mlxc

#endif
