// Values and slopes of activation functions where formulas go wrong: kinks, far out, infinities.
#include "mlxnx/nn/activations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "nn/function.h"

namespace mlxnx::nn {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// What one function answers at each of some places.
struct Curve {
  std::string_view name;
  std::vector<double> x, values, slopes;
  ops::Attrs options = {};
};

const Curve kCurves[] = {
    {"relu", {-1, 0, 2}, {0, 0, 2}, {0, 0, 1}},
    {"relu2", {-1, 0, 2}, {0, 0, 4}, {0, 0, 4}},
    {"relu6", {-1, 0, 2, 6, 7}, {0, 0, 2, 6, 6}, {0, 0, 1, 0, 0}},
    {"leaky_relu", {-1, 0, 2}, {-0.01, 0, 2}, {0.01, 1, 1}},
    {"leaky_relu", {-1, 2}, {-3, 2}, {3, 1}, {{"negative_slope", 3.0}}},
    {"elu", {-1, 0, 2, 1000}, {std::expm1(-1), 0, 2, 1000}, {std::exp(-1), 1, 1, 1}},
    {"elu", {-1, 2}, {2 * std::expm1(-1), 2}, {2 * std::exp(-1), 1}, {{"alpha", 2.0}}},
    {"celu",
     {-1, 0, 1000},
     {2 * std::expm1(-0.5), 0, 1000},
     {std::exp(-0.5), 1, 1},
     {{"alpha", 2.0}}},
    {"selu", {1, 1000}, {1.0507, 1050.7}, {1.0507, 1.0507}},
    {"sigmoid", {0, -1000}, {0.5, 0}, {0.25, 0}},
    {"log_sigmoid", {0, -1000, 1000}, {-std::log(2), -1000, 0}, {0.5, 1, 0}},
    {"softplus", {0, -1000, 1000}, {std::log(2), 0, 1000}, {0.5, 0, 1}},
    {"softsign", {-1, 0, 3}, {-0.5, 0, 0.75}, {0.25, 1, 0.0625}},
    {"silu", {0, 1000, -1000}, {0, 1000, 0}, {0.5, 1, 0}},
    {"gelu", {0, 1000, -1000}, {0, 1000, 0}, {0.5, 1, 0}},
    {"gelu_approx", {0, 1000, -1000, 1e30}, {0, 1000, 0, 1e30}, {0.5, 1, 0, 1}},
    {"gelu_fast_approx", {0, 1000, -1000}, {0, 1000, 0}, {0.5, 1, 0}},
    {"mish", {0, 1000, -1000}, {0, 1000, 0}, {0.6, 1, 0}},
    {"hardswish", {-4, 0, 4}, {0, 0, 4}, {0, 0.5, 1}},
    {"hard_tanh", {-2, -1, 0.5, 1}, {-1, -1, 0.5, 1}, {0, 0, 1, 0}},
    {"hard_shrink", {-0.25, 0.5, 2}, {0, 0, 2}, {0, 0, 1}},
    {"softshrink", {-0.25, -2, 2}, {0, -1.5, 1.5}, {0, 1, 1}},
    {"step", {-1, 0, 2}, {0, 1, 1}, {0, 0, 0}},
    {"tanh", {0, 1000}, {0, 1}, {1, 0}},
    {"softmax", {0, 1000, -kInf}, {0, 1, 0}, {0, 0, 0}},
    {"softmin", {0, -1000}, {0, 1}, {0, 0}},
    {"log_softmax", {0, 1000}, {-1000, 0}, {1, -1}},
    {"glu", {3, 0}, {1.5}, {0.5, 0.75}},
};

Tensor of(const std::vector<double>& values) {
  return Tensor::from_bytes(std::as_bytes(std::span(values)),
                            {DType::f64, {static_cast<std::int64_t>(values.size())}});
}

std::vector<double> in_f64(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}

Tensor called(std::string_view name, const Tensor& x, const ops::Attrs& options = {}) {
  const std::vector<std::optional<Tensor>> operands{x};
  return call(function(Family::kActivation, name), operands, options).front();
}

TEST(Activations, HaveValuesAndSlopes) {
  for (const Curve& curve : kCurves) {
    SCOPED_TRACE(curve.name);
    const Tensor x = of(curve.x);
    const auto f = [&](const Tensor& t) { return called(curve.name, t, curve.options); };
    EXPECT_THAT(in_f64(f(x)), testing::Pointwise(testing::DoubleNear(1e-12), curve.values));
    // The slope of the first result alone for those that work along an axis.
    const bool is_joint = curve.options.empty() && std::string(curve.name).find("soft") == 0 &&
                          curve.name != "softplus" && curve.name != "softsign" &&
                          curve.name != "softshrink";
    const auto first = [&](const Tensor& t) { return slice(f(t), {0}, {1}); };
    const Tensor slopes = is_joint || curve.name == "log_softmax" ? grad(first)(x) : grad(f)(x);
    EXPECT_THAT(in_f64(slopes), testing::Pointwise(testing::DoubleNear(1e-12), curve.slopes));
  }
}

TEST(Activations, AnswerTheLimitAtInfinitiesAndKeepNaN) {
  const Tensor far = of({kInf, -kInf, std::nan("")});
  const std::pair<std::string_view, std::vector<double>> limits[] = {
      {"gelu", {kInf, 0}},
      {"gelu_approx", {kInf, 0}},
      {"gelu_fast_approx", {kInf, 0}},
      {"silu", {kInf, 0}},
      {"mish", {kInf, 0}},
      {"hardswish", {kInf, 0}},
      {"softsign", {1, -1}},
      {"softplus", {kInf, 0}},
      {"elu", {kInf, -1}},
      {"celu", {kInf, -1}},
      {"relu", {kInf, 0}},
      {"relu6", {6, 0}},
      {"hard_tanh", {1, -1}},
      {"sigmoid", {1, 0}},
      {"log_sigmoid", {0, -kInf}},
      {"softshrink", {kInf, -kInf}},
      {"hard_shrink", {kInf, -kInf}},
      {"tanh", {1, -1}}};
  for (const auto& [name, wanted] : limits) {
    SCOPED_TRACE(name);
    const std::vector<double> got = in_f64(called(name, far));
    EXPECT_EQ(got[0], wanted[0]);
    EXPECT_EQ(got[1], wanted[1]);
    EXPECT_TRUE(std::isnan(got[2]));
  }
}

TEST(Activations, HalfFloatsDoNotOverflowWhereTheAnswerFits) {
  const Tensor x = as_type(of({6e4, -6e4}), DType::f16);
  for (const std::string_view name : {"gelu", "gelu_approx", "silu", "mish", "hardswish"}) {
    SCOPED_TRACE(name);
    EXPECT_THAT(in_f64(called(name, x)), testing::ElementsAre(60000, 0));
    EXPECT_EQ(called(name, x).dtype(), DType::f16);
  }
}

TEST(Activations, ComputeIntegersInF32OrKeepThem) {
  const Tensor x = tensor({-1, 2});
  EXPECT_EQ(relu(x).dtype(), DType::s32);
  EXPECT_EQ(relu2(x).dtype(), DType::s32);
  EXPECT_EQ(step(x).dtype(), DType::s32);
  for (const std::string_view name : {"gelu", "elu", "softplus", "tanh", "softmax", "relu6"}) {
    EXPECT_EQ(called(name, x).dtype(), DType::f32) << name;
  }
}

TEST(Activations, PreluTakesASlopeForEachChannel) {
  const Tensor slopes = tensor({0.5, 0.25});
  const Tensor x = tensor({{-1.0, -1.0}, {2.0, 2.0}});
  EXPECT_THAT(in_f64(prelu(x, slopes)), testing::ElementsAre(-0.5, -0.25, 2, 2));
  EXPECT_THAT(in_f64(grad<1>(&prelu)(x, slopes)), testing::ElementsAre(-1, -1));
}

TEST(Activations, GluWantsAnEvenLength) {
  EXPECT_THROW(glu(tensor({1.0, 2.0, 3.0})), ShapeError);
  EXPECT_THROW(glu(tensor({1.0, 2.0}), 1), ShapeError);
  EXPECT_THROW(glu(Tensor(1.0)), ShapeError);
  const Tensor x = tensor({{1.0, 2.0}, {0.0, 0.0}});
  EXPECT_THAT(in_f64(glu(x, 0)), testing::ElementsAre(0.5, 1));
}

}  // namespace
}  // namespace mlxnx::nn
