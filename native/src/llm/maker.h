// Layers of a model that is about to be loaded, or drawn: of the sizes that its settings say.
#pragma once

#include <cstdint>
#include <optional>

#include "mlxnx/nn/embedding.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

class Maker {
 public:
  /// Without a key all elements are zeros that take no memory, for weights to take their place.
  explicit Maker(std::optional<Tensor> key = std::nullopt) : key_(std::move(key)) {}

  nn::Linear linear(std::int64_t inputs, std::int64_t outputs, bool bias);
  nn::Embedding embedding(std::int64_t count, std::int64_t dims);
  nn::RMSNorm rms_norm(std::int64_t dims, double eps);
  nn::LayerNorm layer_norm(std::int64_t dims, double eps, bool bias = true);
  /// A tensor of uniform numbers within `bound`.
  Tensor tensor(const Shape& shape, double bound = 0);

 private:
  std::optional<Tensor> key_;
};

}  // namespace mlxnx::llm
