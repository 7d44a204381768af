// Rows of a table, what is no place in it, and the table as a product.
#include "mlxnx/nn/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxc/host_kernels.h"
#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

Embedding table() {
  const Embedding fresh({.num_embeddings = 3, .dims = 2}, key(0));
  return load_parameters(fresh, {{"weight", tensor({{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}})}});
}

TEST(Embedding, AnswersRows) {
  const Tensor y = table()(tensor({{2, 0}, {-1, 1}}));
  EXPECT_EQ(y.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(in_f64(y), (std::vector<double>{5, 6, 1, 2, 5, 6, 3, 4}));
}

TEST(Embedding, AddsTheGradientsOfRowsThatAreTakenTwice) {
  const auto total = [](const Embedding& t, const Tensor& x) { return sum(t(x)); };
  EXPECT_EQ(in_f64(grad(total)(table(), tensor({2, 2, 0})).weight),
            (std::vector<double>{1, 1, 0, 0, 2, 2}));
}

TEST(Embedding, IsAProductWithTheSameTable) {
  EXPECT_EQ(in_f64(table().as_linear(tensor({1.0, 1.0}))), (std::vector<double>{3, 7, 11}));
  EXPECT_EQ(error_of<ShapeError>([] { table().as_linear(tensor({1.0})); }),
            "[embedding] the last axis of f32[1] should have 2 elements");
}

TEST(Embedding, RefusesWhatIsNoPlace) {
  EXPECT_EQ(error_of<TypeError>([] { table()(tensor({1.0})); }),
            "[embedding] places in the table are integers, got f32[1]");
  // Else it is computed later, and clamped.
  if (mlxc::AtOnceScope::is_allowed()) {
    EXPECT_THROW(table()(tensor({3})), ValueError);
  }
  const auto layer = make(nn::layer("embedding"),
                          {{"num_embeddings", std::int64_t{3}}, {"dims", std::int64_t{2}}}, key(0));
  const std::optional<Tensor> x = tensor({1});
  EXPECT_EQ(error_of<ArgumentError>([&] {
              call(*layer, {&x, 1}, {{"method", std::string("rows")}});
            }),
            "[embedding] method is \"rows\"; it can be call, as_linear");
}

TEST(Embedding, BeginsNormal) {
  const Embedding fresh({.num_embeddings = 1000, .dims = 16}, key(7));
  const double n = 16000;
  const double mean = sum(fresh.weight).item<double>() / n;
  const double variance = sum(fresh.weight * fresh.weight).item<double>() / n - mean * mean;
  EXPECT_NEAR(mean, 0, 5 * 0.25 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(variance), 0.25, 0.25 * 0.02);
}

}  // namespace
}  // namespace mlxnx::nn
