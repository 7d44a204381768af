// LayerDef: a layer under its name, as FunctionDef is a function under its name: for those who know
// only names, `mlxnx replay` and Elixir. C++ uses the struct itself. Read next: layers/linear.cpp
// for rows beside what they make.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weight.h"
#include "nn/function.h"
#include "nn/options.h"

namespace mlxnx::nn {

/// What a call on a layer answers. `state` are the layer's statistics from now on, by their names;
/// without training they stay as they are.
struct LayerAnswer {
  std::vector<Tensor> outputs;
  Parameters state = {};
};

struct LayerDef;

/// A layer of any kind. Nothing changes it.
class Layer {
 public:
  explicit Layer(const LayerDef& row) : row_(row) {}
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  const LayerDef& row() const { return row_; }
  virtual NamedTensors parameters() const = 0;
  /// The layer with other tensors: see `load_parameters`.
  virtual std::shared_ptr<const Layer> with(const Parameters& parameters, bool strict) const = 0;
  /// What changes a matrix: it gets the name of the layer that has it, "" for this one itself.
  using MatrixChange =
      std::function<void(const std::string& name, Tensor& weight, WeightForm& form)>;
  /// The layer with what `change` makes of each of its matrices.
  virtual std::shared_ptr<const Layer> with_matrices(const MatrixChange& change) const = 0;
  /// Operands and options as the row has them.
  virtual LayerAnswer call(const FunctionCall& call) const = 0;

 private:
  const LayerDef& row_;
};

struct LayerDef {
  std::string_view name;                    ///< that of MLX, in snake case
  std::span<const ops::AttrDef> options;    ///< of the layer
  std::span<const OperandDef> operands;     ///< of a call
  std::span<const ops::AttrDef> on_call;    ///< options of a call
  const FunctionDef* activation = nullptr;  ///< what the layer is, where it is no more than that
  std::shared_ptr<const Layer> (*make)(const LayerDef& row, const ops::Attrs& options,
                                       const Tensor& key);
};

/// The rows of one file in layers/.
std::span<const LayerDef> activation_layers();
std::span<const LayerDef> attention_layers();
std::span<const LayerDef> convolution_layers();
std::span<const LayerDef> dropout_layers();
std::span<const LayerDef> embedding_layers();
std::span<const LayerDef> linear_layers();
std::span<const LayerDef> normalization_layers();
std::span<const LayerDef> pooling_layers();
std::span<const LayerDef> positional_layers();
std::span<const LayerDef> recurrent_layers();
std::span<const LayerDef> transformer_layers();
std::span<const LayerDef> upsample_layers();

/// All rows.
std::span<const LayerDef* const> all_layers();

/// The row of that name.
/// Throws: UnsupportedError when there is none.
const LayerDef& layer(std::string_view name);

/// The layer of these options, with weights drawn by `key`, a u32[2].
/// Throws: ArgumentError for an unknown option, one that is missing or of the wrong kind, and
/// values that the layer does not take.
std::shared_ptr<const Layer> make(const LayerDef& row, const ops::Attrs& options,
                                  const Tensor& key);

/// What the layer answers. Operands that are left out at the end count as not given; options are
/// those of the call, filled in with their defaults.
LayerAnswer call(const Layer& layer, std::span<const std::optional<Tensor>> operands,
                 const ops::Attrs& options = {});

/// A layer that is a struct: `Struct` is made of `Struct::Options` and, where it has weights to
/// draw, a key; `answer` calls it.
template <typename Struct, LayerAnswer (*answer)(const Struct&, const FunctionCall&)>
class LayerOf final : public Layer {
 public:
  LayerOf(const LayerDef& row, Struct layer) : Layer(row), layer_(std::move(layer)) {}

  NamedTensors parameters() const override { return named_tensors(layer_); }
  std::shared_ptr<const Layer> with(const Parameters& parameters, bool strict) const override {
    Struct layer = layer_;
    naming::Loading loading(parameters, row().name);
    visit_named(layer, loading);
    loading.finish(strict);
    return std::make_shared<LayerOf>(row(), std::move(layer));
  }
  std::shared_ptr<const Layer> with_matrices(const MatrixChange& change) const override {
    Struct layer = layer_;
    weights::visit(layer, change);
    return std::make_shared<LayerOf>(row(), std::move(layer));
  }
  LayerAnswer call(const FunctionCall& call) const override { return answer(layer_, call); }

  static std::shared_ptr<const Layer> make(const LayerDef& row, const ops::Attrs& options,
                                           const Tensor& key) {
    const auto given = options_from<typename Struct::Options>(options, row.name);
    if constexpr (std::is_constructible_v<Struct, decltype(given), const Tensor&>) {
      return std::make_shared<LayerOf>(row, Struct(given, key));
    } else {
      return std::make_shared<LayerOf>(row, Struct(given));
    }
  }

 private:
  Struct layer_;
};

/// A layer of one tensor, without options.
template <typename Struct>
LayerAnswer answer_of_x(const Struct& layer, const FunctionCall& call) {
  return {{layer(call[0])}};
}

template <typename Struct,
          LayerAnswer (*answer)(const Struct&, const FunctionCall&) = &answer_of_x<Struct>>
LayerDef layer_row(std::string_view name, std::span<const OperandDef> operands = kOnlyX,
                   std::span<const ops::AttrDef> on_call = {}) {
  return {.name = name,
          .options = schema_of<typename Struct::Options>(),
          .operands = operands,
          .on_call = on_call,
          .make = &LayerOf<Struct, answer>::make};
}

}  // namespace mlxnx::nn
