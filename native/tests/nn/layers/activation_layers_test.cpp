// Activation functions as layers: options, weights and those with a choice of formula.
#include "mlxnx/nn/activation_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

Tensor sample() { return tensor({-2.0, -0.25, 0.0, 0.3, 3.0}); }

Tensor answer(std::string_view name, const ops::Attrs& options = {}) {
  const std::optional<Tensor> x = sample();
  return call(*make(layer(name), options, key(0)), {&x, 1}).outputs.at(0);
}

TEST(ActivationLayers, AreTheFunctionsOfTheirNames) {
  EXPECT_EQ(in_f64(answer("relu")), in_f64(relu(sample())));
  EXPECT_EQ(in_f64(answer("elu")), in_f64(elu(sample())));
  EXPECT_EQ(in_f64(answer("elu", {{"alpha", 0.5}})), in_f64(elu(sample(), 0.5)));
  EXPECT_EQ(in_f64(answer("step", {{"threshold", 0.3}})), in_f64(step(sample(), 0.3)));
  EXPECT_THROW(answer("relu", {{"alpha", 0.5}}), ArgumentError);
}

TEST(ActivationLayers, HaveNoWeights) {
  const auto relu_layer = make(layer("relu"), {}, key(0));
  EXPECT_TRUE(relu_layer->parameters().empty());
  EXPECT_NO_THROW(relu_layer->with({}, true));
  EXPECT_THROW(relu_layer->with({{"weight", Tensor(1.0)}}, true), ArgumentError);
}

TEST(ActivationLayers, GeluHasFourFormulas) {
  EXPECT_EQ(in_f64(answer("gelu")), in_f64(gelu(sample())));
  EXPECT_EQ(in_f64(answer("gelu", {{"approx", std::string("none")}})), in_f64(gelu(sample())));
  EXPECT_EQ(in_f64(answer("gelu", {{"approx", std::string("tanh")}})),
            in_f64(gelu_approx(sample())));
  EXPECT_EQ(in_f64(answer("gelu", {{"approx", std::string("precise")}})),
            in_f64(gelu_approx(sample())));
  EXPECT_EQ(in_f64(answer("gelu", {{"approx", std::string("fast")}})),
            in_f64(gelu_fast_approx(sample())));
  EXPECT_EQ(error_of<ArgumentError>([] {
              answer("gelu", {{"approx", std::string("best")}});
            }),
            "[gelu] approx is \"best\"; it can be none, precise, tanh, fast");
  EXPECT_THROW(layer("gelu_approx"), UnsupportedError);
}

TEST(ActivationLayers, PReLULearnsItsSlopes) {
  const PReLU layer({.num_parameters = 2, .init = 0.5});
  const Tensor x = tensor({{-2.0, -4.0}, {1.0, -1.0}});
  EXPECT_EQ(in_f64(layer(x)), (std::vector<double>{-1, -2, 1, -0.5}));
  const PReLU slopes = grad([](const PReLU& p, const Tensor& in) { return sum(p(in)); })(layer, x);
  EXPECT_EQ(in_f64(slopes.weight), (std::vector<double>{-2, -5}));
  EXPECT_EQ(in_f64(PReLU().weight), (std::vector<double>{0.25}));
}

}  // namespace
}  // namespace mlxnx::nn
