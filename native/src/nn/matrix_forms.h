// What the matrices of a layer are, for those who describe layers by names. C++ has it in the layer
// itself, see mlxnx/nn/weight.h; a layer that is made of options alone begins with dense ones, and
// forms say what it has instead.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/nn/weight.h"
#include "nn/layer.h"

namespace mlxnx::nn {

/// What one matrix is; by default a dense one.
struct MatrixForm {
  std::optional<Quantization> quantization = {};
  std::optional<LoraOptions> lora = {};  ///< of the change of low rank beside it
  bool has_lengths = false;              ///< whether the change is one of DoRA
};

/// Forms by the names of the layers within a layer that have a matrix, such as
/// "layers.0.attention.query_proj", or "" for the layer itself.
using MatrixForms = std::map<std::string, MatrixForm>;

/// The names of the layers within `layer` that have a matrix.
std::vector<std::string> matrices_of(const Layer& layer);

/// `layer` with each matrix that is named here in its form; what it has of it already stays.
/// Changes that the form lacks become part of the matrix, new ones are drawn by `key`. Errors name
/// layers below `path`. Throws: ArgumentError for names without a matrix; as `quantize` and
/// `to_lora`.
std::shared_ptr<const Layer> with_forms(const Layer& layer, const MatrixForms& forms,
                                        const Tensor& key, const std::string& path = "");

}  // namespace mlxnx::nn
