// Derivatives of whole functions: networks, loops, branches, likelihoods.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "mlxnx/jit.h"
#include "transforms/algebra.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

Tensor log_softmax(const Tensor& x) {
  const Tensor shifted = x - reduce_max(x, {.axes = Axes{-1}, .keep_axes = true});
  return shifted - log(sum(exp(shifted), {.axes = Axes{-1}, .keep_axes = true}));
}

Tensor log_determinant(const Tensor& a) { return log(linalg::determinant(a)); }

// (inputs, weights, biases, labels)
Tensors perceptron(const Tensors& in) {
  const Tensor hidden = tanh(dot(in[0], in[1]) + in[2]);
  const Tensor scores = log_softmax(dot(max(hidden, 0.1), in[3]) + in[4]);
  const Tensor of_label = take_along_axis(scores, new_axis(in[5], -1), {.axis = 1});
  return {sum(of_label) / -4};
}

// (sequence, weights of queries, keys and values); two heads that look back only.
Tensors attention(const Tensors& in) {
  const auto heads = [&](std::size_t i) {
    return transpose(reshape(dot(in[0], in[i]), {3, 2, 2}), {.axes = Axes{1, 0, 2}});
  };
  const Tensor scores = dot(heads(1), {2}, {0}, heads(2), {2}, {0}) / std::sqrt(2.0);
  const Tensor is_past = iota({2, 3, 3}, {.axis = 1}) >= iota({2, 3, 3}, {.axis = 2});
  const Tensor masked =
      select(is_past, scores, Tensor(-std::numeric_limits<double>::infinity(), DType::f64));
  const Tensor mixed = dot(exp(log_softmax(masked)), {2}, {0}, heads(3), {1}, {0});
  return {sum(mixed * mixed)};
}

// (images, kernels, kernels, weights)
Tensors convolutional(const Tensors& in) {
  const Tensor first =
      max(conv(in[0], in[1], {.padding = Padding::same()}), Tensor(0.0, DType::f64));
  const Tensor pooled = window_max(first, {1, 1, 2, 2}, {.strides = Axes{1, 1, 2, 2}});
  const Tensor second = sigmoid(conv(pooled, in[2]));
  return {sum(log_softmax(dot(reshape(second, {1, 8}), in[3])) * iota({1, 3}))};
}

// (sequence, weights of inputs, of the state, bias)
Tensors recurrent(const Tensors& in) {
  const std::vector<Tensor> start{constant(std::int64_t{0}, DType::s32),
                                  constant(0.5, DType::f64, {2})};
  const auto last = tracing::while_loop(
      start, [](const Tensors& state) { return state[0] < 5; },
      [&](const Tensors& state) {
        const Tensor now = reshape(slice_along_axis(in[0], state[0], 1), {3});
        return Tensors{state[0] + 1, tanh(dot(now, in[1]) + dot(state[1], in[2]) + in[3])};
      });
  return {sum(last[1] * last[1])};
}

// The solution of x = cos(a x + b) / 2, as many steps as it takes.
Tensors fixed_point(const Tensors& in) {
  const std::vector<Tensor> start{constant(0.0, DType::f64, {3}), constant(1.0, DType::f64, {3})};
  const auto last = tracing::while_loop(
      start, [](const Tensors& state) { return any(abs(state[0] - state[1]) > 1e-13); },
      [&](const Tensors& state) {
        return Tensors{state[1], cos(in[0] * state[1] + in[1]) / 2};
      });
  return {sum(last[1] * iota({3}))};
}

// (x, y, number of steps)
Tensors counted(const Tensors& in) {
  const std::vector<Tensor> start{in[2], in[0], in[1]};
  const auto last = tracing::while_loop(
      start, [](const Tensors& state) { return state[0] > 0; },
      [&](const Tensors& state) {
        const Tensor next = tracing::cond(
            state[0] % 2 == 0, [&] { return Tensors{state[1] * sin(state[2])}; },
            [&] { return Tensors{state[1] + in[1]}; })[0];
        return Tensors{state[0] - 1, next, state[2] * 0.9};
      });
  return {last[1]};
}

// (x): a loop in a loop that leaves at different times.
Tensors nested(const Tensors& in) {
  const Tensor zero = constant(std::int64_t{0}, DType::s32);
  const auto last = tracing::while_loop(
      std::vector<Tensor>{zero, in[0]}, [](const Tensors& state) { return state[0] < 3; },
      [&](const Tensors& state) {
        const auto inner = tracing::while_loop(
            std::vector<Tensor>{zero, state[1]},
            [&](const Tensors& own) { return own[0] < state[0]; },
            [&](const Tensors& own) {
              return Tensors{own[0] + 1, sin(own[1]) * in[0]};
            });
        return Tensors{state[0] + 1, inner[1] + cos(state[1])};
      });
  return {last[1]};
}

// (x): it reaches the result two iterations later.
Tensors delay_line(const Tensors& in) {
  const Tensor nothing = constant(0.5, DType::f64);
  const std::vector<Tensor> start{constant(std::int64_t{0}, DType::s32), nothing, nothing, in[0]};
  const auto last = tracing::while_loop(
      start, [](const Tensors& state) { return state[0] < 4; },
      [](const Tensors& state) {
        return Tensors{state[0] + 1, state[2] * state[1], state[3], cos(state[3])};
      });
  return {last[1]};
}

// (x)
Tensors branches(const Tensors& in) {
  const Tensor total = sum(in[0]);
  const Tensor chosen = tracing::cond(
      total > 100, [&] { return Tensors{log(-abs(in[0]))}; },
      [&] { return Tensors{in[0] * in[0] * total}; })[0];
  return {sum(chosen) * total};
}

// (places, observations, logarithms of length and noise)
Tensors gaussian_likelihood(const Tensors& in) {
  const Tensor apart = new_axis(in[0], 0) - new_axis(in[0], 1);
  const Tensor kernel =
      exp(apart * apart / (exp(in[2]) * -2)) + identity(4, DType::f64) * exp(in[3]);
  const Tensor l = linalg::cholesky(kernel);
  const Tensor white = triangular_solve(l, in[1]);
  return {sum(white * white) * -0.5 - sum(log(diagonal(l)))};
}

// (state, root of its covariance, motion, observation, noise, measured)
Tensors kalman_step(const Tensors& in) {
  const Tensor ones = identity(2, DType::f64);
  const Tensor before = matmul(in[1], swapped(in[1])) + ones;
  const Tensor predicted = dot(in[2], in[0]);
  const Tensor spread = matmul(matmul(in[2], before), swapped(in[2])) + ones * 0.1;
  const Tensor seen = matmul(in[3], spread);
  const Tensor innovation = matmul(seen, swapped(in[3])) + identity(2, DType::f64) * exp(in[4]);
  const Tensor gain = swapped(linalg::solve(innovation, seen));
  const Tensor after = predicted + dot(gain, in[5] - dot(in[3], predicted));
  const Tensor left = spread - matmul(gain, seen);
  return {sum(after * after) + log_determinant(left) + log_determinant(innovation)};
}

struct Composite {
  const char* name;
  std::string_view inputs;
  Tensors (*function)(const Tensors& in);
};
std::ostream& operator<<(std::ostream& out, const Composite& composite) {
  return out << composite.name;
}

const Composite kComposites[] = {
    {"Perceptron", "f64[4,3] f64[3,4] f64[4] f64[4,3] f64[3] s32[4]=0,2,1,2", perceptron},
    {"Attention", "f64[3,4] f64[4,4] f64[4,4] f64[4,4]", attention},
    {"ConvolutionalNet", "f64[1,1,6,6] f64[2,1,3,3] f64[2,2,2,2] f64[8,3]", convolutional},
    {"RecurrentNet", "f64[5,3] f64[3,2] f64[2,2] f64[2]", recurrent},
    {"FixedPoint", "f64[3]:0.2..0.9 f64[3]", fixed_point},
    {"CountedLoop", "f64 f64:0.5..1 s32=5", counted},
    {"LoopNeverEntered", "f64 f64:0.5..1 s32=0", counted},
    {"NestedLoops", "f64:0.5..1", nested},
    {"DelayLine", "f64:0.5..1", delay_line},
    {"Branches", "f64[3]:0.5..2", branches},
    {"GaussianLikelihood", "f64[4] f64[4] f64:-1..1 f64:-2..-1", gaussian_likelihood},
    {"KalmanStep", "f64[2] f64[2,2] f64[2,2] f64[2,2] f64:-1..0 f64[2]", kalman_step},
};

class CompositeDerivatives : public testing::TestWithParam<Composite> {};

TEST_P(CompositeDerivatives, AreDifferences) {
  check_derivatives(subject(operands_of(GetParam().inputs), GetParam().function));
}

INSTANTIATE_TEST_SUITE_P(Table, CompositeDerivatives, testing::ValuesIn(kComposites),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mlxnx::transforms
