// Optimizers: formulas, states, a compiled step of training, and what they refuse.
#include "mlxnx/optimizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxnx/mlxnx.h"
#include "nn/optimizers/optimizer_def.h"

namespace mlxnx::optimizers {
namespace {

using testing_support::error_of;

constexpr double kRate = 0.25;
using Numbers = std::map<std::string, double>;

// An optimizer of one number, and its formula: `w` and what the state holds, changed by `g`.
struct Formula {
  Optimizer optimizer;
  std::function<void(double g, double step, double& w, Numbers& s)> apply;
};

std::vector<Formula> formulas() {
  std::vector<Formula> all;
  all.push_back({SGD({.learning_rate = kRate}),
                 [](double g, double, double& w, Numbers&) { w -= kRate * g; }});
  all.push_back({SGD({.learning_rate = kRate, .momentum = 0.5, .weight_decay = 0.125}),
                 [](double g, double, double& w, Numbers& s) {
                   s["v"] = 0.5 * s["v"] + g + 0.125 * w;
                   w -= kRate * s["v"];
                 }});
  all.push_back({SGD({.learning_rate = kRate, .momentum = 0.5, .nesterov = true}),
                 [](double g, double, double& w, Numbers& s) {
                   s["v"] = 0.5 * s["v"] + g;
                   w -= kRate * (g + 0.5 * s["v"]);
                 }});
  all.push_back({SGD({.learning_rate = kRate, .momentum = 0.5, .dampening = 0.25}),
                 [](double g, double, double& w, Numbers& s) {
                   s["v"] = 0.5 * s["v"] + 0.75 * g;
                   w -= kRate * s["v"];
                 }});
  all.push_back({RMSprop({.learning_rate = kRate}), [](double g, double, double& w, Numbers& s) {
                   s["v"] = 0.99 * s["v"] + 0.01 * g * g;
                   w -= kRate * g / (std::sqrt(s["v"]) + 1e-8);
                 }});
  all.push_back({Adagrad({.learning_rate = kRate}), [](double g, double, double& w, Numbers& s) {
                   s["v"] += g * g;
                   w -= kRate * g / (std::sqrt(s["v"]) + 1e-8);
                 }});
  all.push_back({AdaDelta({.learning_rate = kRate}), [](double g, double, double& w, Numbers& s) {
                   s["v"] = 0.9 * s["v"] + 0.1 * g * g;
                   const double d = std::sqrt(s["u"] + 1e-6) / std::sqrt(s["v"] + 1e-6) * g;
                   s["u"] = 0.9 * s["u"] + 0.1 * d * d;
                   w -= kRate * d;
                 }});
  const auto adam = [](double g, double, double& w, Numbers& s) {
    s["m"] = 0.9 * s["m"] + 0.1 * g;
    s["v"] = 0.999 * s["v"] + 0.001 * g * g;
    w -= kRate * s["m"] / (std::sqrt(s["v"]) + 1e-8);
  };
  all.push_back({Adam({.learning_rate = kRate}), adam});
  all.push_back({Adam({.learning_rate = kRate, .bias_correction = true}),
                 [](double g, double step, double& w, Numbers& s) {
                   s["m"] = 0.9 * s["m"] + 0.1 * g;
                   s["v"] = 0.999 * s["v"] + 0.001 * g * g;
                   const double m = s["m"] / (1 - std::pow(0.9, step));
                   const double v = s["v"] / (1 - std::pow(0.999, step));
                   w -= kRate * m / (std::sqrt(v) + 1e-8);
                 }});
  all.push_back(
      {AdamW({.learning_rate = kRate}), [adam](double g, double step, double& w, Numbers& s) {
         w *= 1 - kRate * 0.01;
         adam(g, step, w, s);
       }});
  all.push_back({Adamax({.learning_rate = kRate}), [](double g, double, double& w, Numbers& s) {
                   s["m"] = 0.9 * s["m"] + 0.1 * g;
                   s["v"] = std::max(0.999 * s["v"], std::abs(g));
                   w -= kRate * s["m"] / (s["v"] + 1e-8);
                 }});
  all.push_back({Lion({.learning_rate = kRate, .weight_decay = 0.5}),
                 [](double g, double, double& w, Numbers& s) {
                   const double c = 0.9 * s["m"] + 0.1 * g;
                   s["m"] = 0.99 * s["m"] + 0.01 * g;
                   w = (1 - kRate * 0.5) * w - kRate * (c > 0 ? 1 : -1);
                 }});
  all.push_back({Adafactor({}), [](double g, double step, double& w, Numbers& s) {
                   const double b = 1 - std::pow(step, -0.8);
                   const double rate =
                       std::max(1e-3, std::abs(w)) * std::min(1e-2, 1 / std::sqrt(step));
                   s["exp_avg_sq"] = b * s["exp_avg_sq"] + (1 - b) * (g * g + 1e-30);
                   const double u = g / std::sqrt(s["exp_avg_sq"]);
                   w -= rate * u / std::max(1.0, std::abs(u));
                 }});
  all.push_back({Adafactor({.learning_rate = kRate,
                            .beta_1 = 0.5,
                            .weight_decay = 0.125,
                            .scale_parameter = false,
                            .relative_step = false}),
                 [](double g, double step, double& w, Numbers& s) {
                   const double b = 1 - std::pow(step, -0.8);
                   s["exp_avg_sq"] = b * s["exp_avg_sq"] + (1 - b) * (g * g + 1e-30);
                   const double u = g / std::sqrt(s["exp_avg_sq"]);
                   const double d = kRate * u / std::max(1.0, std::abs(u));
                   s["exp_avg"] = 0.5 * s["exp_avg"] + 0.5 * d;
                   w -= w * 0.125 * kRate + s["exp_avg"];
                 }});
  all.push_back({Muon({.learning_rate = kRate}), [](double g, double, double& w, Numbers& s) {
                   const double decayed = g + 0.01 * w;
                   s["v"] = 0.95 * s["v"] + 0.05 * decayed;
                   w -= kRate * (0.05 * decayed + 0.95 * s["v"]);
                 }});
  return all;
}

TEST(Optimizers, FollowTheirFormulasForTwoSteps) {
  for (const Formula& formula : formulas()) {
    SCOPED_TRACE(formula.optimizer.name());
    double w = 2;
    Numbers numbers;
    std::map<std::string, Tensor> parameters{{"w", tensor(w, DType::f64)}};
    State state = formula.optimizer.init(parameters);
    double step = 0;
    for (const double g : {0.5, -3.0}) {
      const std::map<std::string, Tensor> gradients{{"w", tensor(g, DType::f64)}};
      std::tie(parameters, state) = formula.optimizer.update(gradients, state, parameters);
      formula.apply(g, ++step, w, numbers);
      EXPECT_NEAR(parameters.at("w").item<double>(), w, 1e-6);
      EXPECT_EQ(parameters.at("w").dtype(), DType::f64);
      EXPECT_EQ(state.at("step").item<double>(), step);
    }
    for (const auto& [name, value] : numbers)
      EXPECT_NEAR(state.at("w." + name).item<double>(), value, 1e-6) << name;
  }
}

TEST(Optimizers, MuonMakesMatricesOrthogonal) {
  const Muon muon({.learning_rate = 1.0, .momentum = 0.0, .weight_decay = 0.0, .ns_steps = 30});
  const Tensor w = broadcast(tensor(0.0), {3, 2});
  const Tensor g = tensor({{3.0, 0.0}, {0.0, 0.5}, {0.0, 0.0}});
  const auto [next, state] = muon.update(g, muon.init(w), w);
  // Newton and Schulz' polynomial leaves singular values around 1, times the root of 3/2.
  const std::vector<float> got = next.to_vector<float>();
  EXPECT_NEAR(got[0], -std::sqrt(1.5), 0.5);
  EXPECT_NEAR(got[3], -std::sqrt(1.5), 0.5);
  EXPECT_NEAR(got[1], 0, 1e-5);
  EXPECT_TRUE(state.contains("v"));
}

struct Line {
  Tensor weight, bias;
  MLXNX_MEMBERS(weight, bias)
};

struct Data {
  Tensor x = reshape(as_type(iota({32}), DType::f32) / 16 - 1, {16, 2});
  Tensor y = dot(x, tensor({2.0, -1.0})) + 0.5;
};

Tensor loss_of(const Line& model, const Tensor& x, const Tensor& y) {
  const Tensor error = dot(x, model.weight) + model.bias - y;
  return sum(error * error) / static_cast<double>(error.size());
}

std::vector<Optimizer> every_optimizer() {
  std::vector<Optimizer> all;
  for (const OptimizerDef& row : all_optimizers()) {
    ops::Attrs options{{"learning_rate", row.name == "adadelta" ? 5.0 : 0.05}};
    if (row.name == "adafactor") options.set("relative_step", false);
    all.push_back(make(row, options));
  }
  all.push_back(MultiOptimizer(
      {Lion({.learning_rate = exponential_decay(0.1, 0.9)}), Adam({.learning_rate = 0.05})},
      {[](std::string_view name, const Tensor&) { return name == "bias"; }}));
  return all;
}

TEST(Optimizers, TrainInACompiledStep) {
  const Data data;
  for (const Optimizer& optimizer : every_optimizer()) {
    SCOPED_TRACE(optimizer.name());
    const auto step =
        jit([&](const Line& model, const State& state, const Tensor& x, const Tensor& y) {
          const auto [loss, slopes] = value_and_grad(&loss_of)(model, x, y);
          return std::tuple(loss, optimizer.update(slopes, state, model));
        });
    Line model{tensor({0.5, 0.5}), tensor(0.0)};
    State state = optimizer.init(model);
    const double before = loss_of(model, data.x, data.y).item<double>();
    for (int i = 0; i < 40; ++i)
      std::tie(model, state) = std::get<1>(step(model, state, data.x, data.y));
    EXPECT_LT(loss_of(model, data.x, data.y).item<double>(), 0.7 * before);
    EXPECT_EQ(step.cache_size(), 1u);
  }
}

TEST(Optimizers, GoOnFromAStateThatWentThroughNames) {
  for (const Optimizer& optimizer : every_optimizer()) {
    SCOPED_TRACE(optimizer.name());
    const Line slopes{tensor({1.0, -2.0}), tensor(0.25)};
    Line model{tensor({0.5, 0.5}), tensor(1.0)};
    State state = optimizer.init(model);
    std::tie(model, state) = optimizer.update(slopes, state, model);
    const State loaded = nn::load_parameters(optimizer.init(model), nn::parameters(state));
    const auto [a, a_state] = optimizer.update(slopes, state, model);
    const auto [b, b_state] = optimizer.update(slopes, loaded, model);
    EXPECT_EQ(a.weight.to_bytes(), b.weight.to_bytes());
    EXPECT_EQ(a_state.size(), b_state.size());
  }
}

TEST(Optimizers, KeepTheTypesOfParametersAndState) {
  const Tensor g = tensor({1.0, -2.0});
  for (const DType type : {DType::f16, DType::bf16, DType::f64}) {
    for (const Optimizer& optimizer : every_optimizer()) {
      SCOPED_TRACE(optimizer.name());
      const Tensor w = tensor({0.5, 0.25}, type);
      const State state = optimizer.init(w);
      const auto [next, after] = optimizer.update(g, state, w);
      EXPECT_EQ(next.type(), w.type());
      ASSERT_EQ(after.size(), state.size());
      for (const auto& [name, tensor] : state) EXPECT_EQ(after.at(name).type(), tensor.type());
    }
  }
}

struct Mixed {
  Tensor weight, running_mean, codes, head;
  MLXNX_MEMBERS(weight, running_mean, codes, head)
};

TEST(Optimizers, LeaveFrozenParametersStatisticsAndIntegersAlone) {
  const Tensor one = tensor({1.0});
  const Mixed model{one, one, tensor({1}), one};
  const AdamW adamw({.learning_rate = 0.5, .weight_decay = 0.5});
  const State state = adamw.init(model, [](std::string_view name) { return name != "head"; });
  EXPECT_THAT(nn::named_tensors(state),
              testing::ElementsAre(testing::Key("learning_rate"), testing::Key("step"),
                                   testing::Key("weight.m"), testing::Key("weight.v")));
  const auto [next, after] = adamw.update(Mixed{one, one, one, one}, state, model);
  EXPECT_EQ(next.running_mean.item<double>(), 1);
  EXPECT_EQ(next.head.item<double>(), 1);
  EXPECT_EQ(next.codes.dtype(), DType::s32);
  EXPECT_NE(next.weight.item<double>(), 1);
}

TEST(Optimizers, ReadANumberFromTheStateAndAScheduleAtTheStepBefore) {
  const Tensor w = tensor(1.0), g = tensor(1.0);
  const SGD constant_rate({.learning_rate = 0.5});
  State state = constant_rate.init(w);
  state.at("learning_rate") = Tensor(0.125);
  EXPECT_EQ(constant_rate.update(g, state, w).first.item<double>(), 0.875);
  const SGD scheduled({.learning_rate = linear_schedule(0.5, 0.0, 2)});
  auto [next, after] = scheduled.update(g, scheduled.init(w), w);
  EXPECT_EQ(next.item<double>(), 0.5);
  EXPECT_EQ(after.at("learning_rate").item<double>(), 0.5);
  EXPECT_EQ(scheduled.update(g, after, next).first.item<double>(), 0.25);
}

TEST(Optimizers, RefuseOptionsOutOfRange) {
  EXPECT_THROW(SGD({}), ArgumentError);
  EXPECT_THROW(SGD({.learning_rate = 0.1, .nesterov = true}), ArgumentError);
  EXPECT_THROW(RMSprop({.learning_rate = 0.1, .eps = 0}), ArgumentError);
  EXPECT_THROW(RMSprop({.learning_rate = 0.1, .alpha = -1}), ArgumentError);
  EXPECT_THROW(Adam({.learning_rate = 0.1, .betas = {0.9, 1.0}}), ArgumentError);
  EXPECT_THROW(Lion({.learning_rate = 0.1, .betas = {-0.1, 0.9}}), ArgumentError);
  EXPECT_THROW(Adafactor({.relative_step = false}), ArgumentError);
  EXPECT_THROW(MultiOptimizer({SGD({.learning_rate = 0.1})}, {{}}), ArgumentError);
  EXPECT_THROW(make(optimizer("adam"), {{"learning_rate", 0.1}, {"betas", std::vector{0.9}}}),
               ArgumentError);
  EXPECT_THROW(make(optimizer("adam"), {{"rate", 0.1}}), ArgumentError);
  EXPECT_THROW(optimizer("multi_optimizer"), UnsupportedError);
}

TEST(Optimizers, RefuseStatesAndGradientsOfOtherParameters) {
  const Adam adam({.learning_rate = 0.1});
  const Line model{tensor({0.5, 0.5}), tensor(0.0)};
  const State state = adam.init(model);
  EXPECT_THAT(error_of<ArgumentError>([&] { adam.update(model, {}, model); }),
              testing::HasSubstr("the state has no step"));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                adam.update(Line{tensor({1.0}), tensor(0.0)}, state, model);
              }),
              testing::HasSubstr("the gradient of weight is f32[1], the parameter f32[2]"));
  const std::map<std::string, Tensor> other{{"weight", tensor({0.5, 0.5})}};
  EXPECT_THAT(error_of<ArgumentError>([&] { adam.update(other, state, other); }),
              testing::HasSubstr("none of them has bias.m, bias.v"));
  State partial = state;
  partial.erase("weight.m");
  EXPECT_THAT(error_of<ArgumentError>([&] { adam.update(model, partial, model); }),
              testing::HasSubstr("a part only of what belongs to weight"));
  const MultiOptimizer both({adam, adam}, {[](std::string_view, const Tensor&) { return true; }});
  EXPECT_THROW(both.update(model, state, model), ArgumentError);
}

TEST(ClipGradNorm, ScalesAllByOneFactorAndTellsTheNorm) {
  const auto [clipped, norm] = clip_grad_norm(Line{tensor({3.0, 0.0}), tensor(4.0)}, 1.0);
  EXPECT_EQ(norm.item<double>(), 5);
  EXPECT_NEAR(clipped.weight.to_vector<float>()[0], 0.6, 1e-6);
  EXPECT_NEAR(clipped.bias.item<double>(), 0.8, 1e-6);
  EXPECT_EQ(clip_grad_norm(tensor({3.0, 4.0}), 6.0).first.to_vector<float>(),
            (std::vector<float>{3, 4}));
  EXPECT_EQ(clip_grad_norm(std::vector<Tensor>{}, 1.0).second.item<double>(), 0);
  EXPECT_THROW(clip_grad_norm(tensor({1.0}), -1.0), ArgumentError);
}

TEST(ClipGradNorm, DoesNotOverflowInHalfFloats) {
  const auto [clipped, norm] = clip_grad_norm(tensor({3e4, 4e4}, DType::f16), 1.0);
  EXPECT_NEAR(norm.item<double>(), 5e4, 50);
  EXPECT_EQ(clipped.dtype(), DType::f16);
  EXPECT_NEAR(as_type(clipped, DType::f32).to_vector<float>()[0], 0.6, 1e-3);
}

TEST(ClipGradNorm, TellsInfiniteAndUndefinedGradientsByTheNorm) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto [infinite, inf_norm] = clip_grad_norm(tensor({1.0, kInf}), 1.0);
  EXPECT_EQ(inf_norm.item<double>(), kInf);
  EXPECT_EQ(infinite.to_vector<float>()[0], 0);
  const auto [undefined, nan_norm] = clip_grad_norm(tensor({1.0, std::nan("")}), 1.0);
  EXPECT_TRUE(std::isnan(nan_norm.item<double>()));
  EXPECT_TRUE(std::isnan(undefined.to_vector<float>()[0]));
}

}  // namespace
}  // namespace mlxnx::optimizers
