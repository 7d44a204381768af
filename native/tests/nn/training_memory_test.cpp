// What training holds does not grow with its steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "mlxnx/nn/convolution.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/losses.h"
#include "mlxnx/nn/pooling.h"
#include "mlxnx/nn/recurrent.h"
#include "mlxnx/nn/transformer.h"
#include "mlxnx/optimizers.h"

namespace mlxnx::nn {
namespace {

struct Dense {
  Linear first, second;
  MLXNX_MEMBERS(first, second)
  explicit Dense(const Tensor& key)
      : first({.input_dims = 64, .output_dims = 96}, key),
        second({.input_dims = 96, .output_dims = 8}, key) {}
  Tensor operator()(const Tensor& x) const { return second(relu(first(x))); }
  static Shape input() { return {32, 64}; }
};

struct Convolution {
  Conv2d first;
  MaxPool2d pool{{.kernel_size = 2}};
  MLXNX_MEMBERS(first, pool)
  explicit Convolution(const Tensor& key)
      : first({.in_channels = 3, .out_channels = 8, .kernel_size = 3}, key) {}
  Tensor operator()(const Tensor& x) const { return pool(relu(first(x))); }
  static Shape input() { return {4, 18, 18, 3}; }
};

struct Encoder {
  TransformerEncoder encoder;
  MLXNX_MEMBERS(encoder)
  explicit Encoder(const Tensor& key)
      : encoder({.num_layers = 1, .dims = 32, .num_heads = 2}, key) {}
  Tensor operator()(const Tensor& x) const { return encoder(x); }
  static Shape input() { return {2, 48, 32}; }
};

struct Recurrent {
  LSTM layer;
  MLXNX_MEMBERS(layer)
  explicit Recurrent(const Tensor& key) : layer({.input_size = 32, .hidden_size = 32}, key) {}
  Tensor operator()(const Tensor& x) const { return layer(x).first; }
  static Shape input() { return {16, 8, 32}; }
};

// What tensors hold once MLX's threads have let go of what they worked on, a little after the
// results were there.
std::size_t settled_bytes() {
  synchronize();
  std::size_t bytes = memory_info().active_bytes;
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::size_t before = bytes;
    bytes = memory_info().active_bytes;
    if (bytes == before) break;
  }
  return bytes;
}

template <typename Model>
class TrainingMemory : public testing::Test {};

using Models = testing::Types<Dense, Convolution, Encoder, Recurrent>;
struct ModelNames {
  template <typename Model>
  static std::string GetName(int) {
    if (std::is_same_v<Model, Dense>) return "Dense";
    if (std::is_same_v<Model, Convolution>) return "Convolution";
    return std::is_same_v<Model, Encoder> ? "Encoder" : "Recurrent";
  }
};
TYPED_TEST_SUITE(TrainingMemory, Models, ModelNames);

TYPED_TEST(TrainingMemory, IsTheSameAfterManySteps) {
  using Model = TypeParam;
  Model model(random::key(1));
  const optimizers::AdamW adam({.learning_rate = 1e-3, .bias_correction = true});
  optimizers::State state = adam.init(model);
  const Tensor x = random::normal(random::key(2), Model::input());
  const auto step =
      jit([&adam](const Model& now, const optimizers::State& kept, const Tensor& input) {
        const auto loss = [](const Model& of, const Tensor& in) {
          const Tensor y = of(in);
          return sum(y * y);
        };
        const auto [value, slopes] = value_and_grad(loss)(now, input);
        auto [next, next_kept] = adam.update(slopes, kept, now);
        return std::tuple(value, std::move(next), std::move(next_kept));
      });
  Tensor loss;
  const auto active_after = [&](int steps) {
    for (int i = 0; i < steps; ++i) {
      std::tie(loss, model, state) = step(model, state, x);
      eval(tensors_of(std::tie(loss, model, state)));
    }
    return settled_bytes();
  };
  // Past those after which kernels are fused. A single number takes 24 bytes; what malloc rounds up
  // differs by some for each tensor, at times by more, but does not always grow.
  constexpr int kSteps = 500;
  std::size_t before = active_after(20);
  std::vector<std::size_t> growths;
  bool grows = true;
  for (int i = 0; i < 5 && grows; ++i) {
    const std::size_t after = active_after(kSteps);
    growths.push_back(after - std::min(after, before));
    grows = growths.back() >= kSteps * 8;
    before = after;
  }
  EXPECT_FALSE(grows) << testing::PrintToString(growths);
}

}  // namespace
}  // namespace mlxnx::nn
