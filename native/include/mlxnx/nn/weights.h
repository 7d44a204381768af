// The tensors of a model in files.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "mlxnx/checkpoint.h"
#include "mlxnx/io.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weight.h"

namespace mlxnx::nn {

/// Writes the tensors of a model, running statistics included, by their dotted names into a
/// .safetensors file. Throws: see `save_safetensors`. mlx: Module.save_weights
template <typename Model>
void save_weights(const Model& model, const std::filesystem::path& path) {
  save_safetensors(path, parameters(model));
}

/// `model` with the tensors of a .safetensors file. Throws: see `load_safetensors` and
/// `load_parameters`. mlx: Module.load_weights
///
///     model = nn::load_weights(model, "model.safetensors");
template <typename Model>
Model load_weights(Model model, const std::filesystem::path& path, bool strict = true) {
  return load_parameters(std::move(model), load_safetensors(path), strict);
}

namespace weights {

/// A model of whatever type, as those see it who give it weights.
class Layers {
 public:
  using OnTensor = std::function<void(const std::string& name, Tensor& tensor)>;
  /// For the matrices of linear layers, embeddings and experts, by the layer's name.
  using OnMatrix = std::function<void(const std::string& layer, Tensor& weight, WeightForm& form)>;

  virtual ~Layers() = default;
  virtual void visit_tensors(const OnTensor& on_tensor) = 0;
  virtual void visit_matrices(const OnMatrix& on_matrix) = 0;
};

template <typename Model>
class LayersOf final : public Layers {
 public:
  explicit LayersOf(Model& model) : model_(model) {}
  void visit_tensors(const OnTensor& on_tensor) override { visit_named(model_, on_tensor); }
  void visit_matrices(const OnMatrix& on_matrix) override { visit(model_, on_matrix); }

 private:
  Model& model_;
};

/// Gives each matrix the form that it is given in, and each tensor its elements; `config` are the
/// model's settings.
void load(Layers& layers, const Parameters& given, const Config& config, bool strict);
/// Puts changes of low rank beside matrices, or whole weights in their place.
void load(Layers& layers, const Adapter& adapter);

}  // namespace weights

/// `model` with the tensors of a checkpoint that has the same names, its matrices quantized where
/// they are so there. Throws: see `load_parameters`.
///
///     model = nn::load_weights(model, Checkpoint("model-4bit"));
template <typename Model>
Model load_weights(Model model, const Checkpoint& checkpoint, bool strict = true) {
  weights::LayersOf<Model> layers(model);
  weights::load(layers, checkpoint.read(), checkpoint.config(), strict);
  return model;
}

/// `model` with an adapter's change of low rank beside its matrices, or, for one that holds whole
/// weights, with these. Throws: ArgumentError with the names that the model does not have.
/// mlx-lm: load_adapters
///
///     model = nn::load_adapter(model, Adapter::read("adapters"));
template <typename Model>
Model load_adapter(Model model, const Adapter& adapter) {
  weights::LayersOf<Model> layers(model);
  weights::load(layers, adapter);
  return model;
}

}  // namespace mlxnx::nn
