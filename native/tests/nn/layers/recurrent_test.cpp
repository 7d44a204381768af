#include "mlxnx/nn/recurrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;
using testing_support::wave;

constexpr std::int64_t kInput = 3, kHidden = 2;

template <typename Layer>
Layer in_type(const Layer& layer, DType type) {
  Parameters parameters;
  for (const auto& [name, tensor] : named_tensors(layer))
    parameters.emplace(name, as_type(tensor, type));
  return load_parameters(layer, parameters);
}

template <typename Layer>
Layer layer_of(bool bias = true, DType type = DType::f64) {
  return in_type(Layer({.input_size = kInput, .hidden_size = kHidden, .bias = bias}, key(3)), type);
}

// The formulas, step by step, of a sequence `[batch, length, input]`.
struct Written {
  Tensor x, hidden, cell;
  Tensor step(std::int64_t t) const {
    return reshape(slice_along_axis(x, t, 1, {.axis = 1}), {x.shape()[0], x.shape()[2]});
  }
  static Tensor times(const Tensor& a, const Tensor& w) { return dot(a, {1}, w, {1}); }
  static Tensor part(const Tensor& a, std::int64_t i) {
    return slice_along_axis(a, i * kHidden, kHidden, {.axis = -1});
  }
  static Tensor plus(const Tensor& a, const std::optional<Tensor>& b) { return b ? a + *b : a; }

  std::vector<Tensor> operator()(const RNN& l) const {
    std::vector<Tensor> all;
    Tensor h = hidden;
    for (std::int64_t t = 0; t < x.shape()[1]; ++t)
      all.push_back(h = mlxnx::tanh(plus(times(step(t), l.Wxh), l.bias) + times(h, l.Whh)));
    return {stack(all, {.axis = 1})};
  }
  std::vector<Tensor> operator()(const GRU& l) const {
    std::vector<Tensor> all;
    Tensor h = hidden;
    for (std::int64_t t = 0; t < x.shape()[1]; ++t) {
      const Tensor of_x = plus(times(step(t), l.Wx), l.b), of_h = times(h, l.Wh);
      const Tensor r = mlxnx::sigmoid(part(of_x, 0) + part(of_h, 0));
      const Tensor z = mlxnx::sigmoid(part(of_x, 1) + part(of_h, 1));
      const Tensor n = mlxnx::tanh(part(of_x, 2) + r * plus(part(of_h, 2), l.bhn));
      all.push_back(h = (1 - z) * n + z * h);
    }
    return {stack(all, {.axis = 1})};
  }
  std::vector<Tensor> operator()(const LSTM& l) const {
    std::vector<Tensor> hs, cs;
    Tensor h = hidden, c = cell;
    for (std::int64_t t = 0; t < x.shape()[1]; ++t) {
      const Tensor gates = plus(times(step(t), l.Wx), l.bias) + times(h, l.Wh);
      c = mlxnx::sigmoid(part(gates, 1)) * c +
          mlxnx::sigmoid(part(gates, 0)) * mlxnx::tanh(part(gates, 2));
      h = mlxnx::sigmoid(part(gates, 3)) * mlxnx::tanh(c);
      hs.push_back(h);
      cs.push_back(c);
    }
    return {stack(hs, {.axis = 1}), stack(cs, {.axis = 1})};
  }
};

template <typename Layer>
std::vector<Tensor> answers(const Layer& layer, const Tensor& x, const Tensor& h, const Tensor& c) {
  if constexpr (std::is_same_v<Layer, LSTM>) {
    const auto [hidden, cell] = layer(x, h, c);
    return {hidden, cell};
  } else {
    return {layer(x, h)};
  }
}

// A scalar of all that a layer answers.
Tensor folded(const std::vector<Tensor>& answers) {
  Tensor result = sum(answers[0] * wave(answers[0].shape(), 0.3));
  if (answers.size() > 1) result = result + sum(answers[1] * wave(answers[1].shape(), 1.1));
  return result;
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance) {
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_THAT(in_f64(got), testing::Pointwise(testing::DoubleNear(tolerance), in_f64(wanted)));
}

template <typename Layer>
class Recurrent : public testing::Test {};
using Kinds = testing::Types<RNN, GRU, LSTM>;
TYPED_TEST_SUITE(Recurrent, Kinds);

// One step, a few, and loops over pieces without and with a rest.
TYPED_TEST(Recurrent, HasTheValuesAndGradientsOfItsFormulas) {
  const auto of_layer = [](const TypeParam& layer, const Tensor& x, const Tensor& h,
                           const Tensor& c) { return folded(answers(layer, x, h, c)); };
  const auto of_formulas = [](const TypeParam& layer, const Tensor& x, const Tensor& h,
                              const Tensor& c) {
    return folded(Written{x, h, c}(layer));
  };
  for (const std::int64_t length : {1, 5, 128, 150}) {
    SCOPED_TRACE(length);
    for (const bool bias : {true, false}) {
      if (!bias && length != 5) continue;
      const auto layer = layer_of<TypeParam>(bias);
      const Tensor x = wave({2, length, kInput}, 0), h = wave({2, kHidden}, 1),
                   c = wave({2, kHidden}, 2);
      const auto got = answers(layer, x, h, c), wanted = Written{x, h, c}(layer);
      for (std::size_t i = 0; i < got.size(); ++i) expect_near(got[i], wanted[i], 1e-12);
      const auto slopes = tensors_of(jit(grad<0, 1, 2, 3>(of_layer))(layer, x, h, c));
      const auto true_slopes = tensors_of(grad<0, 1, 2, 3>(of_formulas)(layer, x, h, c));
      ASSERT_EQ(slopes.size(), true_slopes.size());
      for (std::size_t i = 0; i < slopes.size(); ++i) expect_near(slopes[i], true_slopes[i], 1e-10);
    }
  }
}

TYPED_TEST(Recurrent, HasSecondDerivatives) {
  const auto layer = layer_of<TypeParam>();
  const auto twice = [](auto function) {
    return grad([function](const TypeParam& l, const Tensor& x) {
      const auto slopes = grad(function)(l, x);
      Tensor total(0.0);
      for (const Tensor& slope : tensors_of(slopes)) total = total + sum(slope * slope);
      return total;
    });
  };
  const Tensor state = wave({2, kHidden}, 1);
  const auto of_layer = [&](const TypeParam& l, const Tensor& x) {
    return folded(answers(l, x, state, state));
  };
  const auto of_formulas = [&](const TypeParam& l, const Tensor& x) {
    return folded(Written{x, state, state}(l));
  };
  for (const std::int64_t length : {4, 130}) {
    const Tensor x = wave({2, length, kInput}, 0);
    const auto got = tensors_of(twice(of_layer)(layer, x));
    const auto wanted = tensors_of(twice(of_formulas)(layer, x));
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double size = reduce_max(abs(wanted[i])).template item<double>();
      expect_near(got[i] / size, wanted[i] / size, 1e-9);
    }
  }
}

TYPED_TEST(Recurrent, BeginsWithZerosAndGoesOnFromItsState) {
  const auto layer = layer_of<TypeParam>();
  const Tensor x = wave({2, 6, kInput}, 0), none = constant(0.0, DType::f64, {2, kHidden});
  const auto whole = answers(layer, x, none, none);
  const auto [first, second] = split(x, 4, {.axis = 1});
  const auto begin = answers(layer, first, none, none);
  const auto last = [](const Tensor& states) {
    return reshape(slice_along_axis(states, 3, 1, {.axis = 1}), {2, kHidden});
  };
  const auto rest = answers(layer, second, last(begin.front()), last(begin.back()));
  expect_near(concatenate({begin[0], rest[0]}, {.axis = 1}), whole[0], 1e-14);
  if constexpr (std::is_same_v<TypeParam, LSTM>) {
    expect_near(layer(x).second, whole[1], 0);
    expect_near(layer(x, std::nullopt, none).first, whole[0], 0);
  } else {
    expect_near(layer(x), whole[0], 0);
  }
}

TYPED_TEST(Recurrent, TakesAnyBatch) {
  const auto layer = layer_of<TypeParam>();
  const Tensor x = wave({2, 3, 70, kInput}, 0), state = wave({2, 3, kHidden}, 1);
  const auto whole = answers(layer, x, state, state);
  EXPECT_EQ(whole[0].shape(), (Shape{2, 3, 70, kHidden}));
  const auto at = [](const Tensor& t) {
    const Shape rest(t.shape().begin() + 2, t.shape().end());
    return reshape(slice_along_axis(flatten(t, {.axes = Axes{0, 1}}), 4, 1), rest);
  };
  const auto one = answers(layer, at(x), at(state), at(state));
  expect_near(one.back(), at(whole.back()), 1e-14);
  // Mapped over examples it is the same, gradients included.
  const auto apply = [](const TypeParam& l, const Tensor& in, const Tensor& s) {
    return answers(l, in, s, s).back();
  };
  expect_near(vmap(apply, {std::nullopt, 0, 0})(layer, x, state), whole.back(), 1e-14);
  const auto slope = grad<1>([&](const TypeParam& l, const Tensor& in, const Tensor& s) {
    return folded({apply(l, in, s)});
  });
  const auto each = vmap(slope, {std::nullopt, 0, 0})(layer, x, state);
  expect_near(reshape(slice_along_axis(each, 1, 1), {3, 70, kInput}),
              slope(layer, reshape(slice_along_axis(x, 1, 1), {3, 70, kInput}),
                    reshape(slice_along_axis(state, 1, 1), {3, kHidden})),
              1e-12);
  EXPECT_EQ(answers(layer, wave({0, 4, kInput}, 0), wave({0, kHidden}, 0), wave({0, kHidden}, 0))
                .back()
                .shape(),
            (Shape{0, 4, kHidden}));
  EXPECT_EQ(answers(layer, wave({2, 0, kInput}, 0), wave({2, kHidden}, 0), wave({2, kHidden}, 0))
                .back()
                .shape(),
            (Shape{2, 0, kHidden}));
}

TYPED_TEST(Recurrent, KeepsTheTypeOfItsWeightsAndTakesThatOfItsState) {
  const Tensor x = wave({2, 5, kInput}, 0), state = wave({2, kHidden}, 1);
  const auto wanted = answers(layer_of<TypeParam>(), x, state, state);
  for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
    const auto layer = layer_of<TypeParam>(true, type);
    const Tensor narrow = as_type(x, type);
    const auto got = answers(layer, narrow, as_type(state, type), as_type(state, type));
    EXPECT_EQ(got.back().dtype(), type);
    expect_near(got.back(), wanted.back(), type == DType::f32 ? 1e-6 : 3e-2);
    const auto slopes = grad([&](const TypeParam& l) {
      return sum(answers(l, narrow, as_type(state, type), as_type(state, type))[0]);
    })(layer);
    for (const Tensor& slope : tensors_of(slopes)) EXPECT_EQ(slope.dtype(), type);
    EXPECT_EQ(answers(layer, narrow, state, state).back().dtype(), DType::f64);
  }
}

TYPED_TEST(Recurrent, SaysWhatDoesNotFit) {
  const auto layer = layer_of<TypeParam>();
  const Tensor good = wave({2, kHidden}, 0);
  const auto fault = [&](const Tensor& x, const Tensor& h) {
    return error_of<ShapeError>([&] { answers(layer, x, h, good); });
  };
  EXPECT_THAT(fault(wave({2, 5, 4}, 0), good),
              HasSubstr("the last axis of f64[2][5][4] should have 3 elements"));
  EXPECT_THAT(fault(wave({kInput}, 0), good),
              HasSubstr("f64[3] should have the axes batch (if any), length, channels"));
  EXPECT_THAT(fault(wave({2, 5, kInput}, 0), wave({3, kHidden}, 0)),
              HasSubstr("a state for f64[2][5][3] should have the shape {2, 2}, got f64[3][2]"));
  EXPECT_THAT(
      error_of<ArgumentError>([&] { TypeParam({.input_size = 3, .hidden_size = 0}, key(0)); }),
      HasSubstr("hidden_size is 0, it has to be at least 1"));
  EXPECT_THROW(TypeParam({.hidden_size = 2}, key(0)), ArgumentError);
}

TEST(RNN, TakesAnActivationByItsName) {
  const RNNOptions options{.input_size = 1, .hidden_size = 1, .nonlinearity = "relu"};
  const RNN layer = load_parameters(
      RNN(options, key(0)),
      {{"Wxh", tensor({{1.0}})}, {"Whh", tensor({{2.0}})}, {"bias", tensor({0.5})}});
  EXPECT_EQ(layer(tensor({{1.0}, {-5.0}, {1.0}})).to_vector<float>(),
            (std::vector{1.5f, 0.0f, 1.5f}));
  for (const std::string name : {"prelu", "nothing"}) {
    EXPECT_EQ(error_of<ArgumentError>(
                  [&] { RNN({.input_size = 1, .hidden_size = 1, .nonlinearity = name}, key(0)); }),
              "[rnn] nonlinearity is \"" + name +
                  "\"; it has to be the name of an activation function of one tensor");
  }
}

TEST(LSTM, IsDrawnWithinMlxsBounds) {
  const LSTM layer({.input_size = 5, .hidden_size = 100}, key(1));
  EXPECT_EQ(layer.Wx.shape(), (Shape{400, 5}));
  EXPECT_EQ(layer.Wh.shape(), (Shape{400, 100}));
  for (const Tensor& tensor : tensors_of(layer)) {
    EXPECT_LE(reduce_max(abs(tensor)).item<float>(), 0.1f);
    EXPECT_GT(reduce_max(abs(tensor)).item<float>(), 0.095f);
  }
}

// Tangents agree with the gradient, and second derivatives with differences of it.
template <typename Layer>
void check_forward(const Layer& layer) {
  const Tensor x = as_type(wave({4, kInput}, 0), DType::f64),
               way = as_type(wave({4, kInput}, 5), DType::f64);
  const auto apply = [&](const Tensor& in) {
    if constexpr (std::is_same_v<Layer, LSTM>) {
      return sum(sin(layer(in).first));
    } else {
      return sum(sin(layer(in)));
    }
  };
  const Tensor slope = jvp(apply, std::tuple(x), std::tuple(way)).second;
  EXPECT_NEAR(slope.item<double>(), sum(grad(apply)(x) * way).template item<double>(), 1e-12);
  constexpr double kStep = 1e-5;
  const Tensor curved = dot(hessian(apply)(x), {2, 3}, way, {0, 1});
  const Tensor expected =
      (grad(apply)(x + way * kStep) - grad(apply)(x - way * kStep)) / (2 * kStep);
  EXPECT_LT(reduce_max(abs(curved - expected)).template item<double>(), 1e-8);
}

TEST(Recurrent, LayersHaveTangentsOfAnyOrder) {
  check_forward(layer_of<RNN>());
  check_forward(layer_of<GRU>());
  check_forward(layer_of<LSTM>());
}

}  // namespace
}  // namespace mlxnx::nn
