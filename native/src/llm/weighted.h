// Something of layers, whose weights a checkpoint gives.
#pragma once

#include <functional>
#include <string>

#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weight.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

class Weighted {
 public:
  using OnTensor = std::function<void(const std::string& name, Tensor& tensor)>;
  /// For the matrices of linear layers, embeddings and experts.
  using OnMatrix =
      std::function<void(const std::string& layer, Tensor& weight, nn::WeightForm& form)>;

  virtual ~Weighted() = default;
  virtual void visit_tensors(const OnTensor& visit) = 0;
  virtual void visit_matrices(const OnMatrix& visit) = 0;
};

/// Gives each matrix the form that it is given in, and each tensor its elements.
/// Throws: FormatError and ArgumentError where weights are missing, left over or of other shapes.
void take_weights(Weighted& layers, const nn::Parameters& weights, const Config& config);

/// `model_type` of the settings.
/// Throws: UnsupportedError for a model that brings code of its own, which is not run.
std::string model_type(const Config& config);

}  // namespace mlxnx::llm
