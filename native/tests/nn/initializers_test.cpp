// First weights: their statistics, what is exact about them, and shapes they can't have.
#include "mlxnx/nn/initializers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace mlxnx::nn::init {
namespace {

const Shape kShape{256, 384};
Tensor a_key() { return random::key(7); }

std::vector<double> values(const Tensor& x) { return as_type(x, DType::f64).to_vector<double>(); }

void expect_statistics(const Tensor& x, double mean, double deviation) {
  const std::vector<double> all = values(x);
  const auto count = static_cast<double>(all.size());
  const double got = std::accumulate(all.begin(), all.end(), 0.0) / count;
  double squares = 0;
  for (const double v : all) squares += (v - got) * (v - got);
  EXPECT_NEAR(got, mean, 5 * deviation / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), deviation, 0.02 * deviation);
}

TEST(Initializers, DrawWithTheirMeansAndDeviations) {
  expect_statistics(normal(a_key(), kShape, {.mean = 2, .std = 0.1}), 2, 0.1);
  expect_statistics(uniform(a_key(), kShape, {.low = -0.5, .high = 2}), 0.75, 2.5 / std::sqrt(12));
  const double glorot = std::sqrt(2.0 / 640);
  expect_statistics(glorot_normal(a_key(), kShape), 0, glorot);
  expect_statistics(glorot_uniform(a_key(), kShape, {.gain = 4}), 0, 4 * glorot);
  expect_statistics(he_normal(a_key(), kShape), 0, 1 / std::sqrt(384));
  expect_statistics(he_uniform(a_key(), kShape, {.mode = Fan::kOut}), 0, 1 / std::sqrt(256));
  expect_statistics(he_normal(a_key(), {64, 3, 5, 32}), 0, 1 / std::sqrt(480));
  EXPECT_EQ(normal(a_key(), {2}, {.dtype = DType::bf16}).dtype(), DType::bf16);
}

TEST(Initializers, StayWithinTheirBoundsAndFollowTheKey) {
  const std::vector<double> all = values(uniform(a_key(), kShape, {.low = -1, .high = 1}));
  EXPECT_GE(*std::min_element(all.begin(), all.end()), -1);
  EXPECT_LT(*std::max_element(all.begin(), all.end()), 1);
  EXPECT_EQ(values(uniform(a_key(), kShape, {.low = -1, .high = 1})), all);
  EXPECT_NE(values(uniform(random::key(8), kShape, {.low = -1, .high = 1})), all);
}

TEST(Initializers, MakeConstantsAndIdentities) {
  EXPECT_THAT(values(constant(a_key(), {3}, -2, DType::f16)), testing::Each(-2));
  EXPECT_THAT(values(identity(a_key(), {2, 2})), testing::ElementsAre(1, 0, 0, 1));
}

TEST(Initializers, SparseHasAsManyZerosInEachRow) {
  const std::vector<double> all = values(sparse(a_key(), {100, 37}, 0.3, {.mean = 1, .std = 0.1}));
  for (std::size_t row = 0; row < 100; ++row) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * 37);
    EXPECT_EQ(std::count(begin, begin + 37, 0.0), 12);
  }
  EXPECT_THAT(values(sparse(a_key(), {2, 3}, 1)), testing::Each(0));
}

TEST(Initializers, OrthogonalVectorsAreThoseOfTheShorterSide) {
  for (const Shape& shape : {Shape{48, 20}, Shape{20, 48}, Shape{16, 16}}) {
    const Tensor q = orthogonal(a_key(), shape, 2);
    const bool is_tall = shape[0] > shape[1];
    const Tensor gram = is_tall ? dot(transpose(q), q) : dot(q, transpose(q));
    EXPECT_EQ(all_close(gram, eye(gram.shape()[0]) * 4, {.atol = 1e-4}).item<int>(), 1);
  }
}

TEST(Initializers, RefuseShapesThatTheyCantHave) {
  EXPECT_THROW(identity(a_key(), {2, 3}), ShapeError);
  EXPECT_THROW(glorot_normal(a_key(), {2}), ShapeError);
  EXPECT_THROW(he_uniform(a_key(), {}), ShapeError);
  EXPECT_THROW(sparse(a_key(), {2}, 0.5), ShapeError);
  EXPECT_THROW(sparse(a_key(), {2, 2}, 1.5), ArgumentError);
  EXPECT_THROW(orthogonal(a_key(), {2, 2, 2}), ShapeError);
  EXPECT_THROW(normal(tensor({1, 2}), {2}), ShapeError);
}

}  // namespace
}  // namespace mlxnx::nn::init
