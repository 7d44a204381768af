// Networks: what they answer, and a training step of them with Adam. The peers are in
// bench/nn_peers.py and, in Elixir, bench/nn.exs.
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "cases.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "mlxnx/nn/convolution.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/losses.h"
#include "mlxnx/nn/pooling.h"
#include "mlxnx/nn/recurrent.h"
#include "mlxnx/nn/transformer.h"
#include "mlxnx/optimizers.h"

namespace mlxnx::bench {
namespace {

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  return nn::cross_entropy(logits, labels, {.reduction = nn::Reduction::kMean});
}

Tensor mean_square(const Tensor& values, const Tensor& wanted) {
  return nn::mse_loss(values, wanted);
}

// 0 to 9, over and over.
Tensor digits(std::int64_t count) { return remainder(iota({count}), 10); }

struct Mlp {
  std::vector<nn::Linear> layers;
  MLXNX_MEMBERS(layers)

  explicit Mlp(const Tensor& key) {
    constexpr std::int64_t kSizes[] = {784, 512, 512, 10};
    for (std::size_t i = 0; i < 3; ++i)
      layers.push_back(nn::Linear({.input_dims = kSizes[i], .output_dims = kSizes[i + 1]}, key));
  }
  Tensor operator()(Tensor x) const {
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) x = nn::relu(layers[i](x));
    return layers.back()(x);
  }
  static constexpr auto loss = &cross_entropy;
  static Tensor input() { return waves({64, 784}); }
  static Tensor wanted() { return digits(64); }
};

struct LeNet {
  nn::Conv2d conv1, conv2;
  nn::Linear linear1, linear2, linear3;
  nn::MaxPool2d pool{{.kernel_size = 2}};
  MLXNX_MEMBERS(conv1, conv2, linear1, linear2, linear3, pool)

  explicit LeNet(const Tensor& key)
      : conv1({.in_channels = 1, .out_channels = 6, .kernel_size = 5, .padding = 2}, key),
        conv2({.in_channels = 6, .out_channels = 16, .kernel_size = 5}, key),
        linear1({.input_dims = 400, .output_dims = 120}, key),
        linear2({.input_dims = 120, .output_dims = 84}, key),
        linear3({.input_dims = 84, .output_dims = 10}, key) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor maps = pool(nn::relu(conv2(pool(nn::relu(conv1(x))))));
    const Tensor flat = reshape(maps, {x.shape()[0], 400});
    return linear3(nn::relu(linear2(nn::relu(linear1(flat)))));
  }
  static constexpr auto loss = &cross_entropy;
  static Tensor input() { return waves({64, 28, 28, 1}); }
  static Tensor wanted() { return digits(64); }
};

struct Encoder {
  nn::TransformerEncoder encoder;
  MLXNX_MEMBERS(encoder)

  explicit Encoder(const Tensor& key)
      : encoder({.num_layers = 4, .dims = 256, .num_heads = 8}, key) {}
  Tensor operator()(const Tensor& x) const { return encoder(x); }
  static constexpr auto loss = &mean_square;
  static Tensor input() { return waves({8, 128, 256}); }
  static Tensor wanted() { return constant(0.5, DType::f32, {8, 128, 256}); }
};

struct Lstm {
  nn::LSTM layer;
  MLXNX_MEMBERS(layer)

  explicit Lstm(const Tensor& key) : layer({.input_size = 128, .hidden_size = 128}, key) {}
  Tensor operator()(const Tensor& x) const { return layer(x).first; }
  static constexpr auto loss = &mean_square;
  static Tensor input() { return waves({32, 64, 128}); }
  static Tensor wanted() { return constant(0.5, DType::f32, {32, 64, 128}); }
};

// With the same numbers in every system.
template <typename Model>
Model model() {
  const Model drawn(random::key(0));
  std::vector<Tensor> tensors;
  for (const Tensor& tensor : tensors_of(drawn)) tensors.push_back(waves(tensor.shape()) * 0.05);
  eval(tensors);
  return with_tensors(drawn, tensors);
}

template <typename Model>
Body forward() {
  const auto run = jit([](const Model& model, const Tensor& x) { return model(x); });
  return warmed([=, model = model<Model>(), x = Model::input()] { eval(run(model, x)); });
}

template <typename Model>
struct Training {
  Model model;
  optimizers::State state;
};

// Each call goes on from where the one before came to.
template <typename Model, typename Optimizer>
Body step(const Optimizer& optimizer) {
  const auto run = jit([=](const Model& model, const optimizers::State& state, const Tensor& x,
                           const Tensor& wanted) {
    const auto loss = [](const Model& of, const Tensor& in, const Tensor& out) {
      return Model::loss(of(in), out);
    };
    const auto [value, slopes] = value_and_grad(loss)(model, x, wanted);
    auto [next, kept] = optimizer.update(slopes, state, model);
    return std::tuple(value, std::move(next), std::move(kept));
  });
  const Model first = model<Model>();
  const auto now = std::make_shared<Training<Model>>(first, optimizer.init(first));
  return warmed([=, x = Model::input(), wanted = Model::wanted()] {
    Tensor loss;
    std::tie(loss, now->model, now->state) = run(now->model, now->state, x, wanted);
    eval(tensors_of(std::tie(loss, now->model, now->state)));
  });
}

template <typename Model>
Body adam_step() {
  return step<Model>(optimizers::Adam({.learning_rate = 1e-4}));
}

Body corrected_step() {
  return step<Mlp>(optimizers::AdamW({.learning_rate = 1e-4, .bias_correction = true}));
}

Body sgd_step() { return step<Mlp>(optimizers::SGD({.learning_rate = 1e-4, .momentum = 0.9})); }

}  // namespace

std::vector<Case> nn_cases() {
  return {
      {"nn_mlp_forward", forward<Mlp>},
      {"nn_mlp_step", adam_step<Mlp>},
      {"nn_mlp_step_adamw_corrected", corrected_step},
      {"nn_mlp_step_sgd_momentum", sgd_step},
      {"nn_lenet_forward", forward<LeNet>},
      {"nn_lenet_step", adam_step<LeNet>},
      {"nn_transformer_forward", forward<Encoder>},
      {"nn_transformer_step", adam_step<Encoder>},
      {"nn_lstm_forward", forward<Lstm>},
      {"nn_lstm_step", adam_step<Lstm>},
  };
}

}  // namespace mlxnx::bench
