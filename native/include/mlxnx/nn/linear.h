// Layers that are products with a matrix.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weight.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct LinearOptions {
  std::int64_t input_dims = kRequired;
  std::int64_t output_dims = kRequired;
  bool bias = true;
  MLXNX_MEMBERS(input_dims, output_dims, bias)
};

/// The last axis of a tensor times the transposed weight, plus the bias. First weights are uniform
/// within 1 / sqrt(input_dims). mlx: nn.Linear
///
///     nn::Linear layer({.input_dims = 3, .output_dims = 5}, key);
///     layer(x);  // f32[4][3] becomes f32[4][5]
struct Linear {
  using Options = LinearOptions;
  Tensor weight;               ///< `[output_dims, input_dims]`, or what `form` makes of it
  std::optional<Tensor> bias;  ///< `[output_dims]`
  WeightForm form;
  MLXNX_MEMBERS(weight, bias, form)

  Linear(const LinearOptions& options, const Tensor& key);
  /// The layer of a matrix that is there already.
  explicit Linear(Tensor weight, std::optional<Tensor> bias = std::nullopt, WeightForm form = {})
      : weight(std::move(weight)), bias(std::move(bias)), form(std::move(form)) {}
  /// Throws: ShapeError when the last axis of `x` has not `input_dims` elements.
  Tensor operator()(const Tensor& x) const;
};

struct BilinearOptions {
  std::int64_t input1_dims = kRequired;
  std::int64_t input2_dims = kRequired;
  std::int64_t output_dims = kRequired;
  bool bias = true;
  MLXNX_MEMBERS(input1_dims, input2_dims, output_dims, bias)
};

/// For each output a matrix between the last axes of two tensors, plus the bias. First weights are
/// uniform within 1 / sqrt(input1_dims). mlx: nn.Bilinear
///
///     nn::Bilinear layer({.input1_dims = 3, .input2_dims = 4, .output_dims = 5}, key);
///     layer(x1, x2);  // f32[7][3] and f32[7][4] become f32[7][5]
struct Bilinear {
  using Options = BilinearOptions;
  Tensor weight;               ///< `[output_dims, input2_dims, input1_dims]`
  std::optional<Tensor> bias;  ///< `[output_dims]`
  MLXNX_MEMBERS(weight, bias)

  Bilinear(const BilinearOptions& options, const Tensor& key);
  /// Throws: ShapeError when the last axes are not as long as the options say, or the others
  /// differ.
  Tensor operator()(const Tensor& x1, const Tensor& x2) const;
};

struct NoOptions {
  MLXNX_MEMBERS()
};

/// Answers what it gets. mlx: nn.Identity
struct Identity {
  using Options = NoOptions;
  MLXNX_MEMBERS()

  explicit Identity(const NoOptions& = {}) {}
  Tensor operator()(const Tensor& x) const { return x; }
};

}  // namespace mlxnx::nn
