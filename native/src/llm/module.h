// A family of models, and a model of it whose type nobody above needs to know.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llm/maker.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weights.h"

namespace mlxnx::llm {

class Module : public nn::weights::Layers {
 public:
  virtual std::unique_ptr<Module> clone() const = 0;
  /// Tokens `[batch, length]` to what the last norm answers, `[batch, length, size]`.
  virtual Tensor hidden(const Tensor& tokens, Step& step) const = 0;
  /// The logits of it, `[batch, length, vocabulary]`.
  virtual Tensor logits(const Tensor& hidden) const = 0;
  /// One for each layer, in the order that the layers count.
  virtual std::vector<LayerCache> make_cache() const = 0;
};

/// A model that is a struct of layers: `Tensor hidden(const Tensor& tokens, Step&) const`,
/// `Tensor logits(const Tensor& hidden) const` and `std::vector<LayerCache> make_cache() const`,
/// and its members by the names that mlx-lm gives them.
template <typename Model>
class ModuleOf final : public Module {
 public:
  explicit ModuleOf(Model model) : model_(std::move(model)) {}
  std::unique_ptr<Module> clone() const override { return std::make_unique<ModuleOf>(model_); }
  Tensor hidden(const Tensor& tokens, Step& step) const override {
    return model_.hidden(tokens, step);
  }
  Tensor logits(const Tensor& hidden) const override { return model_.logits(hidden); }
  std::vector<LayerCache> make_cache() const override { return model_.make_cache(); }
  void visit_tensors(const OnTensor& visit) override { visit_named(model_, visit); }
  void visit_matrices(const OnMatrix& visit) override { nn::weights::visit(model_, visit); }

 private:
  Model model_;
};

/// A row of the table of families: how a `model_type` is read.
struct Family {
  std::string_view name;  ///< its `model_type`
  /// Throws: FormatError for settings that say nothing of something, UnsupportedError for what the
  /// family has not.
  std::unique_ptr<Module> (*make)(const Config& config, Maker& maker);
  /// Brings a checkpoint's names and shapes to the model's: renames, drops, stacks. Null: they are
  /// the same.
  void (*sanitize)(nn::Parameters& weights, const Config& config) = nullptr;
  /// The settings with what only the names in a checkpoint tell. Null: there is nothing of that
  /// kind.
  Config (*complete)(Config config, const nn::Parameters& weights) = nullptr;
  /// Whether positions are rows of a table, so that a text can't be longer than that.
  bool has_table_of_positions = false;
};

template <typename Model>
std::unique_ptr<Module> make_module(const Config& config, Maker& maker) {
  return std::make_unique<ModuleOf<Model>>(Model(config, maker));
}

/// The family of a `model_type`, also by another name of it ("mistral").
/// Throws: UnsupportedError with the nearest names where there is none.
const Family& family_of(std::string_view model_type);

}  // namespace mlxnx::llm
