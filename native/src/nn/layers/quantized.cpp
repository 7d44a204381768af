#include "mlxnx/nn/quantized.h"

namespace mlxnx::nn {

namespace {
template <typename Options>
Quantization form_of(const Options& options) {
  return {.mode = options.mode, .bits = options.bits, .group_size = options.group_size};
}
}  // namespace

QuantizedLinear::QuantizedLinear(const QuantizedLinearOptions& options, const Tensor& key)
    : Linear({.input_dims = options.input_dims,
              .output_dims = options.output_dims,
              .bias = options.bias},
             key) {
  weights::quantize(weight, form, form_of(options), "quantized_linear");
}

QuantizedEmbedding::QuantizedEmbedding(const QuantizedEmbeddingOptions& options, const Tensor& key)
    : Embedding({.num_embeddings = options.num_embeddings, .dims = options.dims}, key) {
  weights::quantize(weight, form, form_of(options), "quantized_embedding");
}

}  // namespace mlxnx::nn
