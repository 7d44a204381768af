#include "mlxnx/nn/recurrent.h"

#include <cmath>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "nn/layers/recurrence.h"

namespace mlxnx::nn {
namespace {

// What draws the weights of a recurrent layer of so many gates.
struct Draw {
  std::int64_t inputs, size, rows;
  std::vector<Tensor> keys;
  double bound;

  template <typename Options>
  Draw(const Options& options, std::int64_t gates, const Tensor& key, std::string_view layer)
      : inputs(at_least(1, options.input_size, "input_size", layer)),
        size(at_least(1, options.hidden_size, "hidden_size", layer)),
        rows(gates * size),
        keys(split_key(key, 4, layer)),
        bound(1 / std::sqrt(static_cast<double>(size))) {}

  Tensor operator()(std::size_t which, const Shape& shape) const {
    return random::uniform(keys[which], shape, {.low = -bound, .high = bound});
  }
};

}  // namespace

RNN::RNN(const RNNOptions& options, const Tensor& key)
    : nonlinearity(activation_name(options.nonlinearity, "nonlinearity", "rnn")) {
  const Draw draw(options, 1, key, "rnn");
  Wxh = draw(0, {draw.rows, draw.inputs});
  Whh = draw(1, {draw.rows, draw.size});
  if (options.bias) bias = draw(2, {draw.rows});
}

Tensor RNN::operator()(const Tensor& x, const std::optional<Tensor>& hidden) const {
  const auto cell = [this](const States& from_input, const States& from_state, const States&) {
    return States{activated(from_input[0] + from_state[0], nonlinearity)};
  };
  return states_of({"rnn", Wxh, bias, Whh, std::nullopt, cell}, x, {hidden}).front();
}

GRU::GRU(const GRUOptions& options, const Tensor& key) {
  const Draw draw(options, 3, key, "gru");
  Wx = draw(0, {draw.rows, draw.inputs});
  Wh = draw(1, {draw.rows, draw.size});
  if (options.bias) {
    b = draw(2, {draw.rows});
    bhn = draw(3, {draw.size});
  }
}

Tensor GRU::operator()(const Tensor& x, const std::optional<Tensor>& hidden) const {
  const auto cell = [](const States& from_input, const States& from_state, const States& state) {
    const Tensor r = mlxnx::sigmoid(from_input[0] + from_state[0]);
    const Tensor z = mlxnx::sigmoid(from_input[1] + from_state[1]);
    const Tensor n = mlxnx::tanh(from_input[2] + r * from_state[2]);
    return States{n + z * (state[0] - n)};
  };
  std::optional<Tensor> state_bias;
  if (bhn) state_bias = pad(*bhn, constant(0.0, bhn->dtype()), {{.low = 2 * bhn->size()}});
  return states_of({"gru", Wx, b, Wh, state_bias, cell}, x, {hidden}).front();
}

LSTM::LSTM(const LSTMOptions& options, const Tensor& key) {
  const Draw draw(options, 4, key, "lstm");
  Wx = draw(0, {draw.rows, draw.inputs});
  Wh = draw(1, {draw.rows, draw.size});
  if (options.bias) bias = draw(2, {draw.rows});
}

std::pair<Tensor, Tensor> LSTM::operator()(const Tensor& x, const std::optional<Tensor>& hidden,
                                           const std::optional<Tensor>& cell) const {
  const auto step = [](const States& from_input, const States& from_state, const States& state) {
    const auto gate = [&](std::size_t i) { return from_input[i] + from_state[i]; };
    const Tensor i = mlxnx::sigmoid(gate(0)), f = mlxnx::sigmoid(gate(1));
    const Tensor g = mlxnx::tanh(gate(2)), o = mlxnx::sigmoid(gate(3));
    const Tensor next = f * state[1] + i * g;
    return States{o * mlxnx::tanh(next), next};
  };
  const States states = states_of({"lstm", Wx, bias, Wh, std::nullopt, step}, x, {hidden, cell});
  return {states[0], states[1]};
}

namespace {

constexpr OperandDef kXHidden[] = {{"x"}, {"hidden", true}};
constexpr OperandDef kXHiddenCell[] = {{"x"}, {"hidden", true}, {"cell", true}};

template <typename Struct>
LayerAnswer answer_of_hidden(const Struct& layer, const FunctionCall& call) {
  return {{layer(call[0], call.optional(1))}};
}

LayerAnswer answer_of_both(const LSTM& layer, const FunctionCall& call) {
  const auto [hidden, cell] = layer(call[0], call.optional(1), call.optional(2));
  return {{hidden, cell}};
}

const LayerDef kRecurrentLayers[] = {
    layer_row<RNN, &answer_of_hidden<RNN>>("rnn", kXHidden),
    layer_row<GRU, &answer_of_hidden<GRU>>("gru", kXHidden),
    layer_row<LSTM, &answer_of_both>("lstm", kXHiddenCell),
};

}  // namespace

std::span<const LayerDef> recurrent_layers() { return kRecurrentLayers; }

}  // namespace mlxnx::nn
