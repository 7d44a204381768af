#include "mlxnx/ops/linalg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <random>
#include <vector>

#include "error_of.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing_support::error_of;

Tensor f32(std::vector<float> values, Shape shape) {
  return Tensor::from_span<float>(values, shape);
}

template <typename T>
std::vector<T> random_values(std::size_t count) {
  std::mt19937 generator(7);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<T> values(count);
  for (T& value : values) {
    if constexpr (std::is_same_v<T, std::complex<float>>) {
      value = {uniform(generator), uniform(generator)};
    } else {
      value = static_cast<T>(uniform(generator));
    }
  }
  return values;
}

// Row-major product of `[batch, m, k]` and `[batch, k, n]` in the host's arithmetic.
template <typename T>
std::vector<T> product(const std::vector<T>& a, const std::vector<T>& b, std::size_t batch,
                       std::size_t m, std::size_t k, std::size_t n) {
  std::vector<T> out(batch * m * n);
  for (std::size_t i = 0; i < batch; ++i)
    for (std::size_t r = 0; r < m; ++r)
      for (std::size_t c = 0; c < n; ++c)
        for (std::size_t j = 0; j < k; ++j)
          out[(i * m + r) * n + c] += a[(i * m + r) * k + j] * b[(i * k + j) * n + c];
  return out;
}

template <typename T>
double largest_difference(const std::vector<T>& a, const std::vector<T>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, static_cast<double>(std::abs(a[i] - b[i])));
  return worst;
}

std::vector<std::vector<float>> columns_of(const Tensor& matrix, std::size_t count) {
  const auto values = matrix.to_vector<float>();
  std::vector<std::vector<float>> result(count);
  for (std::size_t i = 0; i < values.size(); ++i) result[i % count].push_back(values[i]);
  return result;
}

template <typename T>
class LinalgOf : public testing::Test {};
using FactorTypes = testing::Types<float, double, std::complex<float>>;
TYPED_TEST_SUITE(LinalgOf, FactorTypes);

template <typename T>
constexpr double kTolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;

TYPED_TEST(LinalgOf, QrOfEveryShapeMultipliesBack) {
  for (const auto& [m, n] :
       {std::pair<std::size_t, std::size_t>{4, 4}, {5, 3}, {3, 5}, {1, 4}, {4, 1}}) {
    for (const char* mode : {"reduced", "complete"}) {
      const auto values = random_values<TypeParam>(2 * m * n);
      const Shape shape = {2, static_cast<std::int64_t>(m), static_cast<std::int64_t>(n)};
      const linalg::QrResult result = linalg::qr(Tensor::from_span<TypeParam>(values, shape), mode);
      const Tensor &q = result.q, &r = result.r;
      const auto inner = static_cast<std::size_t>(r.shape()[1]);
      EXPECT_EQ(inner, mode == std::string("reduced") ? std::min(m, n) : m);
      const auto back = product(q.to_vector<TypeParam>(), r.to_vector<TypeParam>(), 2, m, inner, n);
      EXPECT_LT(largest_difference(back, values), kTolerance<TypeParam>)
          << m << "x" << n << " " << mode;
    }
  }
}

TYPED_TEST(LinalgOf, LuMultipliesBack) {
  const auto values = random_values<TypeParam>(2 * 5 * 5);
  const linalg::LuResult result = linalg::lu(Tensor::from_span<TypeParam>(values, {2, 5, 5}));
  const Tensor &p = result.p, &l = result.l, &u = result.u;
  const auto lu = product(l.to_vector<TypeParam>(), u.to_vector<TypeParam>(), 2, 5, 5, 5);
  EXPECT_LT(largest_difference(product(p.to_vector<TypeParam>(), lu, 2, 5, 5, 5), values),
            kTolerance<TypeParam>);
}

TYPED_TEST(LinalgOf, SolveAndTriangularSolveAnswerTheRightSide) {
  const auto a = random_values<TypeParam>(4 * 4);
  const auto x = random_values<TypeParam>(4 * 2);
  const Tensor matrix = Tensor::from_span<TypeParam>(a, {4, 4});
  const auto b = product(a, x, 1, 4, 4, 2);
  const auto solved = linalg::solve(matrix, Tensor::from_span<TypeParam>(b, {4, 2}))
                          .template to_vector<TypeParam>();
  EXPECT_LT(largest_difference(solved, x), 20 * kTolerance<TypeParam>);
  for (const bool lower : {true, false}) {
    auto triangle = a;
    for (std::size_t r = 0; r < 4; ++r) {
      for (std::size_t c = 0; c < 4; ++c) {
        if (lower ? c > r : c < r) triangle[r * 4 + c] = 0;
        if (r == c) triangle[r * 4 + c] += TypeParam(2);
      }
    }
    const auto right = product(triangle, x, 1, 4, 4, 2);
    const Tensor answer =
        triangular_solve(Tensor::from_span<TypeParam>(triangle, {4, 4}),
                         Tensor::from_span<TypeParam>(right, {4, 2}), {.lower = lower});
    EXPECT_LT(largest_difference(answer.to_vector<TypeParam>(), x), kTolerance<TypeParam>);
  }
}

TEST(Linalg, QrHasThePositiveDiagonalOfNx) {
  const auto [q, r] = linalg::qr(f32({3, 1, 4, 2}, {2, 2}));
  EXPECT_THAT(r.to_vector<float>(), Pointwise(FloatNear(1e-5f), {5.0f, 2.2f, 0.0f, -0.4f}));
}

TEST(Linalg, QrLeavesAnUpperTriangularMatrixAsItIs) {
  const auto [q, r] = linalg::qr(f32({-3, 1, 0, -2}, {2, 2}));
  EXPECT_THAT(q.to_vector<float>(), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(r.to_vector<float>(), ElementsAre(-3, 1, 0, -2));
}

TEST(Linalg, QrCompletesQWithTheSignOfNx) {
  const auto [q, r] = linalg::qr(f32({1, 2, 3, 4, 5, 6}, {3, 2}), "complete");
  EXPECT_THAT(columns_of(q, 3).back(),
              Pointwise(FloatNear(1e-6f), {-0.40824829f, 0.81649658f, -0.40824829f}));
}

TEST(Linalg, SmallMatricesAreRoundedOnce) {
  // In f32 the smallest singular value of this singular matrix comes out near 1e-7.
  const Tensor singular = f32({1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 3});
  EXPECT_LT(linalg::svd(singular).s.to_vector<float>()[2], 1e-14f);
  EXPECT_LT(std::abs(linalg::eigh(f32({1, 2, 2, 4}, {2, 2})).eigenvalues.to_vector<float>()[1]),
            1e-14f);
  EXPECT_THAT(linalg::qr(f32({3, 1, 4, 2}, {2, 2})).q.to_vector<float>(),
              ElementsAre(0.6f, 0.8f, 0.8f, -0.6f));
  EXPECT_THAT(triangular_solve(f32({3, 0, 1, 3}, {2, 2}), f32({1, 1}, {2})).to_vector<float>(),
              ElementsAre(1.0f / 3, static_cast<float>(2.0 / 9)));
  EXPECT_THAT(linalg::solve(f32({1, 2, 3, 4}, {2, 2}), f32({5, 6}, {2})).to_vector<float>(),
              ElementsAre(-4, 4.5f));
}

TEST(Linalg, ReducedSvdHasNoSingularValuesOfRounding) {
  // Rows of f32 sevenths depend on each other but for their rounding.
  const Tensor a = divide(f32({1, 2, 3, 2, 4, 6, 3, 7, 5}, {3, 3}), 7.0f);
  EXPECT_EQ(linalg::svd(a, false).s.to_vector<float>()[2], 0);
  EXPECT_GT(linalg::svd(a).s.to_vector<float>()[2], 0);
  const Tensor whole = as_type(f32({1, 2, 3, 2, 4, 6, 3, 7, 5}, {3, 3}), DType::f64);
  const Tensor f64 = divide(whole, Tensor(7.0, DType::f64));
  EXPECT_EQ(linalg::svd(f64, false).s.to_vector<double>()[2], 0);
  const Tensor fine = f32({1, 0, 0, 1e-5f}, {2, 2});
  EXPECT_FLOAT_EQ(linalg::svd(fine, false).s.to_vector<float>()[1], 1e-5f);
}

TEST(Linalg, SemidefiniteMatricesHaveNoNegativeEigenvalues) {
  const Tensor r = f32({1, -1, 0.5f, -0.5f}, {4, 1});
  const Tensor outer = multiply(dot(r, transpose(r)), Tensor(0.25f));
  EXPECT_THAT(linalg::eigh(outer).eigenvalues.to_vector<float>(), ElementsAre(0.625f, 0, 0, 0));
  const Tensor batch = broadcast(outer, {2, 4, 4});
  EXPECT_THAT(linalg::eigh(batch).eigenvalues.to_vector<float>(),
              ElementsAre(0.625f, 0, 0, 0, 0.625f, 0, 0, 0));
  for (const DType type : {DType::f32, DType::f64}) {
    for (const std::int64_t n : {10, 60}) {
      const Tensor thin =
          as_type(f32(random_values<float>(static_cast<std::size_t>(n * 3)), {n, 3}), type);
      const Tensor values = linalg::eigh(dot(thin, transpose(thin))).eigenvalues;
      const auto found = as_type(values, DType::f64).to_vector<double>();
      for (std::size_t i = 0; i < found.size(); ++i)
        EXPECT_EQ(found[i] > 0, i < 3) << found[i] << " at " << i << " of " << name(type);
      for (std::size_t i = 3; i < found.size(); ++i) EXPECT_EQ(found[i], 0);
    }
  }
  const Tensor fine = f32({1, 0, 0, -1e-5f}, {2, 2});
  EXPECT_FLOAT_EQ(linalg::eigh(fine).eigenvalues.to_vector<float>()[1], -1e-5f);
  EXPECT_EQ(linalg::eigh(f32({0, 0, 0, 0}, {2, 2})).eigenvalues.to_vector<float>()[0], 0);
}

TEST(Linalg, LargerMatricesFactorInTheirOwnType) {
  constexpr std::size_t n = 40;
  const auto values = random_values<float>(n * n);
  const Tensor a = f32(values, {n, n});
  const auto [q, r] = linalg::qr(a);
  EXPECT_EQ(q.dtype(), DType::f32);
  EXPECT_LT(
      largest_difference(product(q.to_vector<float>(), r.to_vector<float>(), 1, n, n, n), values),
      2e-5);
  const auto [u, s, vt] = linalg::svd(a);
  const auto scaled = multiply(u, s).to_vector<float>();
  EXPECT_LT(largest_difference(product(scaled, vt.to_vector<float>(), 1, n, n, n), values), 1e-4);
}

TEST(Linalg, FactorsHaveNoNegativeZeros) {
  const Tensor a = f32({3, 2, 1, 0, 1, 1, 0, 0, -1, 0, 0, 0}, {4, 3});
  const auto qr = linalg::qr(a, "complete");
  const auto svd = linalg::svd(f32({1, 0, 0, 0, 1, 0, 0, 0, -1}, {3, 3}));
  const auto eigh = linalg::eigh(f32({1, 0, 0, -3}, {2, 2}));
  for (const Tensor& factor : {qr.q, qr.r, svd.u, svd.vt, eigh.eigenvectors}) {
    for (const float value : factor.to_vector<float>())
      EXPECT_FALSE(value == 0 && std::signbit(value));
  }
}

// The element of largest magnitude of each column, with its sign.
std::vector<float> peaks(const Tensor& matrix, std::size_t n) {
  std::vector<float> result;
  for (const auto& column : columns_of(matrix, n)) {
    result.push_back(*std::max_element(column.begin(), column.end(),
                                       [](float a, float b) { return std::abs(a) < std::abs(b); }));
  }
  return result;
}

TEST(Linalg, VectorsPointToTheirLargestElement) {
  for (const std::size_t n : {3u, 40u}) {
    const auto side = static_cast<std::int64_t>(n);
    const Tensor a = f32(random_values<float>(n * n), {side, side});
    const Tensor symmetric = add(a, transpose(a));
    EXPECT_THAT(peaks(linalg::eigh(symmetric).eigenvectors, n), testing::Each(testing::Gt(0)));
    EXPECT_THAT(peaks(transpose(linalg::svd(a).vt), n), testing::Each(testing::Gt(0)));
  }
  const auto wide = linalg::svd(f32(random_values<float>(6), {2, 3}));
  EXPECT_THAT(peaks(wide.u, 2), testing::Each(testing::Gt(0)));
  EXPECT_GT(peaks(transpose(wide.vt), 3)[2], 0);
}

TEST(Linalg, CholeskyOfADefiniteMatrix) {
  EXPECT_THAT(linalg::cholesky(f32({4, 2, 2, 5}, {2, 2})).to_vector<float>(),
              ElementsAre(2, 0, 1, 2));
}

TEST(Linalg, CholeskyOfASemidefiniteMatrixEndsInZero) {
  EXPECT_THAT(linalg::cholesky(f32({25, 25, 25, 25}, {2, 2})).to_vector<float>(),
              ElementsAre(5, 0, 5, 0));
}

TEST(Linalg, CholeskyOfAnIndefiniteMatrixIsNanFromTheFailingPivotOn) {
  const auto last = linalg::cholesky(f32({1, 2, 2, 1}, {2, 2})).to_vector<float>();
  EXPECT_THAT(last, ElementsAre(1, 0, 2, testing::IsNan()));
  const auto first = linalg::cholesky(f32({-1, 0, 0, 1}, {2, 2})).to_vector<float>();
  EXPECT_THAT(first, testing::Each(testing::IsNan()));
}

TEST(Linalg, EighOrdersByMagnitude) {
  const auto [values, vectors] = linalg::eigh(f32({1, 0, 0, -3}, {2, 2}));
  EXPECT_THAT(values.to_vector<float>(), Pointwise(FloatNear(1e-6f), {-3.0f, 1.0f}));
  EXPECT_EQ(vectors.shape(), (Shape{2, 2}));
}

TEST(Linalg, SvdOfIntegersGivesF32SingularValues) {
  const std::vector<std::int32_t> values = {3, 0, 0, 0, 4, 0};
  const auto [u, s, vt] = linalg::svd(Tensor::from_span<std::int32_t>(values, {2, 3}));
  EXPECT_THAT(s.to_vector<float>(), Pointwise(FloatNear(1e-6f), {4.0f, 3.0f}));
  EXPECT_EQ(vt.shape(), (Shape{3, 3}));
  const auto reduced = linalg::svd(Tensor::from_span<std::int32_t>(values, {2, 3}), false);
  EXPECT_EQ(reduced.vt.shape(), (Shape{2, 3}));
}

TEST(Linalg, DeterminantsOfEverySize) {
  EXPECT_FLOAT_EQ(linalg::determinant(f32({5}, {1, 1})).item<float>(), 5);
  EXPECT_FLOAT_EQ(linalg::determinant(f32({1, 2, 3, 4}, {2, 2})).item<float>(), -2);
  EXPECT_FLOAT_EQ(linalg::determinant(f32({2, 0, 1, 1, 3, 2, 1, 1, 4}, {3, 3})).item<float>(), 18);
  EXPECT_FLOAT_EQ(linalg::determinant(f32({0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4}, {4, 4}))
                      .item<float>(),
                  -24);
}

TEST(Linalg, ASingularMatrixGivesNanAndNoCrash) {
  for (const float value :
       linalg::solve(f32({1, 2, 2, 4}, {2, 2}), f32({1, 2}, {2})).to_vector<float>()) {
    EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_EQ(linalg::determinant(f32(std::vector<float>(16, 1.0f), {4, 4})).item<float>(), 0);
  const auto [p, l, u] = linalg::lu(f32({0, 0, 0, 0}, {2, 2}));
  EXPECT_THAT(u.to_vector<float>(), ElementsAre(0, 0, 0, 0));
}

TEST(Linalg, NanInOneMatrixLeavesTheOthersOfTheBatchAlone) {
  const Tensor a = f32({NAN, 1, 1, 2, 2, 0, 0, 1}, {2, 2, 2});
  const auto values = linalg::eigh(a).eigenvalues.to_vector<float>();
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[1]));
  EXPECT_FLOAT_EQ(values[2], 2);
  const auto singular = linalg::svd(a).s.to_vector<float>();
  EXPECT_TRUE(std::isnan(singular[0]));
  EXPECT_FLOAT_EQ(singular[2], 2);
}

TEST(Linalg, TriangularSolveKnowsSidesAndTransforms) {
  const Tensor a = f32({2, 0, 1, 1}, {2, 2});
  EXPECT_THAT(triangular_solve(a, f32({4, 3}, {2})).to_vector<float>(), ElementsAre(2, 1));
  EXPECT_THAT(
      triangular_solve(a, f32({4, 3}, {2}), {.transform_a = "transpose"}).to_vector<float>(),
      ElementsAre(0.5, 3));
  EXPECT_THAT(triangular_solve(a, f32({4, 3}, {1, 2}), {.left_side = false}).to_vector<float>(),
              ElementsAre(0.5, 3));
}

TEST(Linalg, ErrorsNameTheOpAndTheShapes) {
  const Tensor wide = f32({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(error_of<ArgumentError>([&] { linalg::lu(wide); }),
            "[block:LinAlg.LU] expected a square matrix or a batch of them, got shape {2, 3}");
  EXPECT_THAT(error_of<ArgumentError>([&] { linalg::cholesky(f32({1}, {1})); }),
              HasSubstr("rank 2 or more, got rank 1"));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                linalg::solve(f32({1, 0, 0, 1}, {2, 2}), f32({1, 2, 3}, {3}));
              }),
              HasSubstr("{3} does not fit"));
  EXPECT_THAT(error_of<ArgumentError>([&] { linalg::qr(wide, "full"); }),
              HasSubstr("got \"full\""));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                triangular_solve(f32({0, 0, 1, 1}, {2, 2}), f32({1, 1}, {2}));
              }),
              HasSubstr("can't solve for singular matrix"));
}

TEST(Linalg, FactorsAMatrixThatIsOneRepeatedElement) {
  const linalg::QrResult result = linalg::qr(broadcast(Tensor(2.0), {1, 1}));
  EXPECT_FLOAT_EQ(result.q.item<float>() * result.r.item<float>(), 2.0f);
}

// MLX's factors of such matrices lie in memory for one of them.
TEST(Linalg, SolvesSingleElementsThatAreRepeated) {
  const Tensor a = broadcast(f32({2}, {1, 1}), {3, 1, 1});
  for (int i = 0; i < 50; ++i) {
    const Tensor x = linalg::solve(a, f32({2, 4, 6}, {3, 1}));
    EXPECT_THAT(x.to_vector<float>(), ElementsAre(1, 2, 3));
    EXPECT_THAT(linalg::determinant(a).to_vector<float>(), ElementsAre(2, 2, 2));
    const linalg::LuResult lu = linalg::lu(a);
    EXPECT_THAT(lu.l.to_vector<float>(), ElementsAre(1, 1, 1));
    EXPECT_THAT(lu.u.to_vector<float>(), ElementsAre(2, 2, 2));
  }
}

TEST(Linalg, HalfFloatsKeepTheirType) {
  const ops::OpDef& row = ops::op("block:LinAlg.Cholesky");
  const TensorType type{DType::bf16, {3, 3}};
  EXPECT_EQ(ops::infer_types(row, {&type, 1})[0].dtype, DType::bf16);
}

}  // namespace
}  // namespace mlxnx
