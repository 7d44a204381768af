#include "mlxnx/nn/embedding.h"

#include <cmath>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/initializers.h"
#include "mlxnx/nn/quantized.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "nn/quantization_form.h"

namespace mlxnx::nn {

Embedding::Embedding(const EmbeddingOptions& options, const Tensor& key) {
  const std::int64_t count = at_least(1, options.num_embeddings, "num_embeddings", "embedding");
  const std::int64_t dims = at_least(1, options.dims, "dims", "embedding");
  const Tensor own = split_key(key, 1, "embedding").front();
  weight = init::normal(own, {count, dims}, {.std = 1 / std::sqrt(static_cast<double>(dims))});
}

Tensor Embedding::operator()(const Tensor& x) const {
  if (!is_integer(x.dtype())) {
    throw TypeError("[embedding] places in the table are integers, got " + to_string(x.type()));
  }
  const std::int64_t count = weight.shape().front();
  const Tensor places = is_unsigned(x.dtype()) ? x : select(less(x, 0), x + count, x);
  return take_rows(weight, form, places);
}

Tensor Embedding::as_linear(const Tensor& x) const {
  require_last_axis(x, columns_of(weight, form), "embedding");
  return times_weight(x, weight, form);
}

namespace {

constexpr std::string_view kMethods[] = {"call", "as_linear"};
const ops::AttrDef kOnCall[] = {{"method", ops::AttrKind::kString, std::string(kMethods[0])}};

template <typename Struct>
LayerAnswer embedding_answer(const Struct& layer, const FunctionCall& call) {
  const std::string& method = call.option<std::string>("method");
  if (method == kMethods[0]) return {{layer(call[0])}};
  if (method == kMethods[1]) return {{layer.as_linear(call[0])}};
  throw ArgumentError("[embedding] method is \"" + method + "\"; it can be call, as_linear");
}

const LayerDef kEmbeddingLayers[] = {
    layer_row<Embedding, &embedding_answer<Embedding>>("embedding", kOnlyX, kOnCall),
    layer_row<QuantizedEmbedding, &embedding_answer<QuantizedEmbedding>>("quantized_embedding",
                                                                         kOnlyX, kOnCall),
};

}  // namespace

std::span<const LayerDef> embedding_layers() { return kEmbeddingLayers; }

}  // namespace mlxnx::nn
