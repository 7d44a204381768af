// Recurrent layers, which go through a sequence step by step.
//
// Sequences are `[batch, length, input_size]`, or have no batch, or several axes of it; states have
// the same axes without the length. What a layer answers are the states after every step, of which
// the last one continues the sequence:
//
//     nn::LSTM layer({.input_size = 3, .hidden_size = 4}, key);
//     auto [hidden, cell] = layer(x);  // f32[2][5][3] becomes f32[2][5][4], twice
//
// First weights and biases are uniform within 1 / sqrt(hidden_size). Gradients go back by a way of
// their own, whose memory is that of the states; its transpose leads tangents forward.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct RNNOptions {
  std::int64_t input_size = kRequired;
  std::int64_t hidden_size = kRequired;
  bool bias = true;
  std::string nonlinearity = "tanh";  ///< the name of an activation function of one tensor
  MLXNX_MEMBERS(input_size, hidden_size, bias, nonlinearity)
};

/// h' = nonlinearity(Wxh x + Whh h + bias). mlx: nn.RNN
///
///     nn::RNN layer({.input_size = 3, .hidden_size = 4}, key);
///     layer(x);  // f32[2][5][3] becomes f32[2][5][4]
struct RNN {
  using Options = RNNOptions;
  Tensor Wxh;                  ///< `[hidden_size, input_size]`
  Tensor Whh;                  ///< `[hidden_size, hidden_size]`
  std::optional<Tensor> bias;  ///< `[hidden_size]`
  std::string nonlinearity;
  MLXNX_MEMBERS(Wxh, Whh, bias, nonlinearity)

  /// Throws: ArgumentError for sizes below 1 and for a name that no such function has.
  RNN(const RNNOptions& options, const Tensor& key);
  /// `hidden` is the state before the first step; none: zeros. Throws: ShapeError for sizes that do
  /// not fit.
  Tensor operator()(const Tensor& x, const std::optional<Tensor>& hidden = std::nullopt) const;
};

struct GRUOptions {
  std::int64_t input_size = kRequired;
  std::int64_t hidden_size = kRequired;
  bool bias = true;
  MLXNX_MEMBERS(input_size, hidden_size, bias)
};

/// Gated recurrent units: with the rows of the weights in the order r, z, n,
///
///     r = sigmoid(Wx x + b + Wh h)    z = sigmoid(Wx x + b + Wh h)
///     n = tanh(Wx x + b + r (Wh h + bhn))
///     h' = (1 - z) n + z h
///
/// mlx: nn.GRU
///
///     nn::GRU layer({.input_size = 3, .hidden_size = 4}, key);
///     layer(x);  // f32[2][5][3] becomes f32[2][5][4]
struct GRU {
  using Options = GRUOptions;
  Tensor Wx;                  ///< `[3 hidden_size, input_size]`
  Tensor Wh;                  ///< `[3 hidden_size, hidden_size]`
  std::optional<Tensor> b;    ///< `[3 hidden_size]`
  std::optional<Tensor> bhn;  ///< `[hidden_size]`
  MLXNX_MEMBERS(Wx, Wh, b, bhn)

  /// Throws: ArgumentError for sizes below 1.
  GRU(const GRUOptions& options, const Tensor& key);
  /// As `RNN`.
  Tensor operator()(const Tensor& x, const std::optional<Tensor>& hidden = std::nullopt) const;
};

struct LSTMOptions {
  std::int64_t input_size = kRequired;
  std::int64_t hidden_size = kRequired;
  bool bias = true;
  MLXNX_MEMBERS(input_size, hidden_size, bias)
};

/// Long short-term memory: with the rows of the weights in the order i, f, g, o,
///
///     i, f, o = sigmoid(Wx x + bias + Wh h)    g = tanh(Wx x + bias + Wh h)
///     c' = f c + i g    h' = o tanh(c')
///
/// mlx: nn.LSTM
///
///     nn::LSTM layer({.input_size = 3, .hidden_size = 4}, key);
///     auto [hidden, cell] = layer(x);  // f32[2][5][3] becomes f32[2][5][4], twice
struct LSTM {
  using Options = LSTMOptions;
  Tensor Wx;                   ///< `[4 hidden_size, input_size]`
  Tensor Wh;                   ///< `[4 hidden_size, hidden_size]`
  std::optional<Tensor> bias;  ///< `[4 hidden_size]`
  MLXNX_MEMBERS(Wx, Wh, bias)

  /// Throws: ArgumentError for sizes below 1.
  LSTM(const LSTMOptions& options, const Tensor& key);
  /// The hidden states and the cells after every step. `hidden` and `cell` are those before the
  /// first one; none: zeros. Throws: ShapeError for sizes that do not fit.
  std::pair<Tensor, Tensor> operator()(const Tensor& x,
                                       const std::optional<Tensor>& hidden = std::nullopt,
                                       const std::optional<Tensor>& cell = std::nullopt) const;
};

}  // namespace mlxnx::nn
