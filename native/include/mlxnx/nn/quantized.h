// Layers that are quantized from the start, as files of quantized weights want them. Others become
// so by `nn::quantize`.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/embedding.h"
#include "mlxnx/nn/linear.h"

namespace mlxnx::nn {

struct QuantizedLinearOptions {
  std::int64_t input_dims = kRequired;
  std::int64_t output_dims = kRequired;
  bool bias = true;
  std::optional<std::int64_t> group_size = {}, bits = {};  ///< none: the mode's defaults
  QuantizationMode mode = QuantizationMode::kAffine;
  MLXNX_MEMBERS(input_dims, output_dims, bias, group_size, bits, mode)
};

/// A `Linear` whose first weights are quantized. mlx: nn.QuantizedLinear
///
///     nn::QuantizedLinear layer({.input_dims = 64, .output_dims = 5}, key);
///     nn::parameters(layer);  // bias, biases, scales, weight
struct QuantizedLinear : Linear {
  using Options = QuantizedLinearOptions;
  QuantizedLinear(const QuantizedLinearOptions& options, const Tensor& key);
};

struct QuantizedEmbeddingOptions {
  std::int64_t num_embeddings = kRequired;
  std::int64_t dims = kRequired;
  std::optional<std::int64_t> group_size = {}, bits = {};  ///< none: the mode's defaults
  QuantizationMode mode = QuantizationMode::kAffine;
  MLXNX_MEMBERS(num_embeddings, dims, group_size, bits, mode)
};

/// An `Embedding` whose table is quantized; its rows are those of `dequantize`. mlx:
/// nn.QuantizedEmbedding
///
///     nn::QuantizedEmbedding layer({.num_embeddings = 1000, .dims = 64}, key);
///     layer(tensor({3, 17}));  // f32[2][64]
struct QuantizedEmbedding : Embedding {
  using Options = QuantizedEmbeddingOptions;
  QuantizedEmbedding(const QuantizedEmbeddingOptions& options, const Tensor& key);
};

}  // namespace mlxnx::nn
