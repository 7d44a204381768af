// The tensors of a model in files.
#pragma once

#include <filesystem>
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

/// Gives a matrix the form that it is given in, with the tensors of that form; a dense one is left
/// as it is. `layer` is its name there, `config` the model's settings.
void take_form(Tensor& weight, WeightForm& form, const Config& config, const Parameters& given,
               const std::string& layer);
/// Puts the change of low rank beside a matrix for which the adapter has one.
void take_change(Tensor& weight, WeightForm& form, const Adapter& adapter,
                 const std::string& layer);
/// Throws: ArgumentError where the adapter has tensors beside those that the model has taken.
void finish_change(const Adapter& adapter, const Parameters& taken);

}  // namespace weights

/// `model` with the tensors of a checkpoint that has the same names, its matrices quantized where
/// they are so there. Throws: see `load_parameters`.
///
///     model = nn::load_weights(model, Checkpoint("model-4bit"));
template <typename Model>
Model load_weights(Model model, const Checkpoint& checkpoint, bool strict = true) {
  const Parameters given = checkpoint.read();
  weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& form) {
    weights::take_form(weight, form, checkpoint.config(), given, name);
  });
  return load_parameters(std::move(model), given, strict);
}

/// `model` with an adapter's change of low rank beside its matrices, or, for one that holds whole
/// weights, with these. Throws: ArgumentError with the names that the model does not have.
/// mlx-lm: load_adapters
///
///     model = nn::load_adapter(model, Adapter::read("adapters"));
template <typename Model>
Model load_adapter(Model model, const Adapter& adapter) {
  if (adapter.kind != Adapter::Kind::kFull) {
    weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& form) {
      weights::take_change(weight, form, adapter, name);
    });
  }
  weights::finish_change(adapter, parameters(model));
  return load_parameters(std::move(model), adapter.tensors, false);
}

}  // namespace mlxnx::nn
