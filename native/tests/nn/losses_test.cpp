// Values and gradients of losses where formulas go wrong: kinks, far out, infinities, zeros.
#include "mlxnx/nn/losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxc/host_kernels.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"

namespace mlxnx::nn {
namespace {

using testing_support::error_of;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLog2 = std::numbers::ln2;

Tensor of(const std::vector<double>& values) { return tensor(values); }
Tensor row(const std::vector<double>& values) {
  return reshape(of(values), {1, static_cast<std::int64_t>(values.size())});
}
std::vector<double> in_f64(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}
auto near(const std::vector<double>& wanted, double tolerance = 1e-12) {
  return testing::Pointwise(testing::DoubleNear(tolerance), wanted);
}

// One loss of two operands: values and the slopes by the first.
struct Example {
  std::string_view name;
  std::vector<double> inputs, targets, values, slopes;
  ops::Attrs options = {};
};

const ops::AttrValue kNone = std::string("none");
const Example kExamples[] = {
    {"l1_loss", {1, 4, 2}, {2, 2, 2}, {1, 2, 0}, {-1, 1, 0}, {{"reduction", kNone}}},
    {"mse_loss", {1, 4, 2}, {2, 2, 2}, {1, 4, 0}, {-2, 4, 0}, {{"reduction", kNone}}},
    {"smooth_l1_loss",
     {0.5, 3, 0, -1, 1e300},
     {0, 0, 0, 0, 0},
     {0.125, 2.5, 0, 0.5, 1e300},
     {0.5, 1, 0, -1, 1},
     {{"reduction", kNone}}},
    {"smooth_l1_loss", {0.5, 0}, {0, 0}, {0.5, 0}, {1, 0}, {{"reduction", kNone}, {"beta", 0.0}}},
    {"huber_loss",
     {0.5, 3, 0, -1, kInf},
     {0, 0, 0, 0, 0},
     {0.125, 2.5, 0, 0.5, kInf},
     {0.5, 1, 0, -1, 1}},
    {"huber_loss", {3}, {0}, {4.375}, {2.5}, {{"delta", 2.5}}},
    {"hinge_loss", {0.25, 3, 1}, {1, 1, 1}, {0.75, 0, 0}, {-1, 0, 0}},
    {"log_cosh_loss",
     {0, 1e-9, 100, -1e4},
     {0, 0, 0, 0},
     {0, 5e-19, 100 - kLog2, 1e4 - kLog2},
     {0, 1e-9, 1, -1}},
    {"binary_cross_entropy",
     {0, 1e4, -1e4, kInf, -kInf, -1e4},
     {1, 1, 0, 1, 0, 1},
     {kLog2, 0, 0, 0, 0, 1e4},
     {-0.5, 0, 0, 0, 0, -1},
     {{"reduction", kNone}}},
    {"binary_cross_entropy",
     {0.5, 1, 0, 0},
     {1, 1, 0, 1},
     {kLog2, 0, 0, 100},
     {-2, -1, 1, 0},
     {{"reduction", kNone}, {"with_logits", false}}},
};

Tensor called(std::string_view name, const std::vector<std::optional<Tensor>>& operands,
              const ops::Attrs& options = {}) {
  return call(function(Family::kLoss, name), operands, options).front();
}

TEST(Losses, HaveValuesAndSlopesEagerlyAndCompiled) {
  for (const Example& example : kExamples) {
    SCOPED_TRACE(std::string(example.name) + " of " + testing::PrintToString(example.inputs));
    const auto loss = [&](const Tensor& x) {
      return called(example.name, {x, of(example.targets)}, example.options);
    };
    const Tensor x = of(example.inputs);
    EXPECT_THAT(in_f64(loss(x)), near(example.values));
    EXPECT_THAT(in_f64(jit(loss)(x)), near(example.values));
    EXPECT_THAT(in_f64(grad(loss)(x)), near(example.slopes));
  }
}

TEST(Losses, CrossEntropyOfMaskedClassesHasFiniteGradients) {
  const auto by_classes = [](const Tensor& x) { return cross_entropy(x, tensor({0})); };
  EXPECT_THAT(in_f64(by_classes(row({0, -kInf, 0}))), near({kLog2}));
  EXPECT_THAT(in_f64(grad(by_classes)(row({0, -kInf, 0}))), near({-0.5, 0, 0.5}));

  const auto by_shares = [](const Tensor& x) { return cross_entropy(x, row({1, 0, 0})); };
  EXPECT_THAT(in_f64(by_shares(row({0, -kInf, 0}))), near({kLog2}));
  EXPECT_THAT(in_f64(grad(by_shares)(row({0, -kInf, 0}))), near({-0.5, 0, 0.5}));

  // A share of the targets lies on a class that can't be.
  const auto smooth = [](const Tensor& x) {
    return cross_entropy(x, tensor({0}), {.label_smoothing = 0.3});
  };
  EXPECT_THAT(in_f64(smooth(row({0, -kInf, 0}))), testing::ElementsAre(kInf));
  EXPECT_THAT(in_f64(grad(smooth)(row({0, -kInf, 0}))), near({-0.3, -0.1, 0.4}));
}

TEST(Losses, CrossEntropyIsTheSameAlongAnyAxisAndWeighted) {
  const Tensor x = reshape(as_type(iota({12}), DType::f64), {3, 4});
  const Tensor classes = tensor({0, 2, 3});
  const std::vector<double> last = in_f64(cross_entropy(x, classes));
  EXPECT_THAT(in_f64(cross_entropy(transpose(x), classes, {.axis = 0})), near(last));
  const auto alone = [](const Tensor& logits, const Tensor& target) {
    return cross_entropy(logits, target);
  };
  EXPECT_THAT(in_f64(vmap(alone)(x, classes)), near(last));
  const Tensor weights = of({1, 0, 2});
  EXPECT_THAT(in_f64(cross_entropy(x, classes, {.weights = weights})),
              near({last[0], 0, 2 * last[2]}));
  EXPECT_THAT(
      in_f64(cross_entropy(x, classes, {.weights = weights, .reduction = Reduction::kMean})),
      near({(last[0] + 2 * last[2]) / 3}));
  // What has no weight does not count, not even where it is infinite.
  const Tensor impossible = row({0, -kInf});
  EXPECT_THAT(in_f64(cross_entropy(impossible, tensor({1}), {.weights = of({0})})), near({0}));
}

TEST(Losses, ZeroProbabilitiesCountAsNothingInKlDivergence) {
  const auto loss = [](const Tensor& inputs, const Tensor& targets) {
    return kl_div_loss(inputs, targets);
  };
  const Tensor targets = log(row({1, 0, 0}));
  const Tensor inputs = log(row({0.5, 0.5, 0}));
  EXPECT_THAT(in_f64(loss(inputs, targets)), near({kLog2}));
  const auto [by_inputs, by_targets] = grad<0, 1>(loss)(inputs, targets);
  EXPECT_THAT(in_f64(by_inputs), near({-1, 0, 0}));
  EXPECT_THAT(in_f64(by_targets), near({1 + kLog2, 0, 0}));
}

TEST(Losses, CosineSimilarityOfZeroVectorsHasFiniteGradients) {
  const auto loss = [](const Tensor& x) { return cosine_similarity_loss(x, row({3, 4})); };
  EXPECT_THAT(in_f64(loss(row({0, 0}))), near({0}));
  EXPECT_THAT(in_f64(grad(loss)(row({0, 0}))), near({3e8, 4e8}, 1e-4));
  EXPECT_THAT(in_f64(loss(row({1, 0}))), near({0.6}));
  EXPECT_THAT(in_f64(grad(loss)(row({1, 0}))), near({0, 0.8}));
  // The least norm is 0 in f16.
  const Tensor half = as_type(row({0, 0}), DType::f16);
  EXPECT_THAT(in_f64(cosine_similarity_loss(half, half)), testing::ElementsAre(0));
}

TEST(Losses, TripletsOfEqualPointsHaveFiniteGradients) {
  const Tensor x = row({1, 2});
  for (const std::int64_t p : {1, 2, 3}) {
    SCOPED_TRACE(p);
    const auto loss = [&](const Tensor& anchors) {
      return triplet_loss(anchors, x, row({1, 5}), {.p = p, .margin = 4, .eps = 0});
    };
    EXPECT_THAT(in_f64(loss(x)), near({1}));
    EXPECT_THAT(in_f64(grad(loss)(x)), near({0, 1}));
  }
  EXPECT_THROW(triplet_loss(x, x, x, {.p = 0}), ArgumentError);
}

TEST(Losses, GaussianVariancesAreHeldAboveZero) {
  const auto loss = [](const Tensor& vars) {
    return gaussian_nll_loss(of({1, 1}), of({1, 2}), vars,
                             {.full = true, .eps = 0.5, .reduction = Reduction::kSum});
  };
  const double wanted =
      std::log(2 * std::numbers::pi) + 0.5 * std::log(0.5) + 0.5 * (std::log(2.0) + 0.5);
  EXPECT_THAT(in_f64(loss(of({0, 2}))), near({wanted}));
  EXPECT_THAT(in_f64(grad(loss)(of({0, 2}))), near({0, 0.25 - 0.125}));
}

TEST(Losses, TypesStayAndAreComputedInF32) {
  const Tensor large = broadcast(tensor(300.0, DType::f16), {1000});
  EXPECT_EQ(mse_loss(large, large * 1.5, Reduction::kMean).dtype(), DType::f16);
  EXPECT_EQ(l1_loss(large, large * 0, Reduction::kMean).item<double>(), 300);
  EXPECT_EQ(cross_entropy(as_type(row({1, 2}), DType::bf16), tensor({0})).dtype(), DType::bf16);
  EXPECT_EQ(mse_loss(large, as_type(large, DType::f32)).dtype(), DType::f32);
  const Tensor whole = tensor({1, 4});
  EXPECT_EQ(l1_loss(whole, whole, Reduction::kSum).dtype(), DType::s32);
  EXPECT_EQ(l1_loss(whole, tensor({2, 2})).item<double>(), 1.5);
  EXPECT_EQ(huber_loss(whole, whole).dtype(), DType::f32);
  EXPECT_THAT(in_f64(binary_cross_entropy(of({0}), tensor({1}))), near({kLog2}));
}

TEST(Losses, TellTheShapesOfOperandsThatDoNotMatch) {
  const Tensor x = of({1, 2, 3});
  EXPECT_THAT(error_of<ArgumentError>([&] {
                mse_loss(x, of({1, 2}));
              }),
              testing::AllOf(testing::HasSubstr("[mse_loss] predictions of shape {3}"),
                             testing::HasSubstr("targets of shape {2}")));
  EXPECT_THROW(cross_entropy(row({1, 2}), tensor({0, 1})), ShapeError);
  EXPECT_THROW(cross_entropy(row({1, 2}), row({0, 1, 2})), ShapeError);
  EXPECT_THROW(cross_entropy(row({1, 2}), tensor({0}), {.weights = of({1, 2})}), ShapeError);
  EXPECT_THROW(cross_entropy(row({1, 2}), tensor({0}), {.axis = 2}), ShapeError);
  EXPECT_THROW(cross_entropy(row({1, 2}), of({0})), TypeError);
  // Else it is computed later, and clamped.
  if (mlxc::AtOnceScope::is_allowed()) {
    EXPECT_THROW(cross_entropy(row({1, 2}), tensor({2})), ArgumentError);
  }
  EXPECT_THROW(cross_entropy(row({1, 2}), tensor({0}), {.label_smoothing = 1}), ArgumentError);
  EXPECT_THROW(nll_loss(row({1, 2}), tensor({0, 1})), ShapeError);
  EXPECT_THROW(kl_div_loss(x, of({1})), ShapeError);
  EXPECT_THROW(gaussian_nll_loss(x, x, of({1})), ShapeError);
  EXPECT_THROW(margin_ranking_loss(x, x, of({1})), ShapeError);
  EXPECT_THROW(cosine_similarity_loss(x, x), ShapeError);
  EXPECT_THROW(huber_loss(x, of({1, 2})), ShapeError);
}

TEST(Losses, RefuseAnUnknownReduction) {
  EXPECT_THAT(error_of<ArgumentError>([] {
                called("l1_loss", {of({1}), of({1})}, {{"reduction", std::string("max")}});
              }),
              testing::HasSubstr("there is no reduction max; it is none, mean or sum"));
}

}  // namespace
}  // namespace mlxnx::nn
