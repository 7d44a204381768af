#include <algorithm>
#include <array>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activation_layers.h"
#include "mlxnx/nn/activations.h"
#include "nn/initial.h"
#include "nn/layer.h"

namespace mlxnx::nn {

PReLU::PReLU(const PReLUOptions& options)
    : weight(broadcast(Tensor(options.init),
                       {at_least(1, options.num_parameters, "num_parameters", "prelu")})) {}

Tensor PReLU::operator()(const Tensor& x) const { return prelu(x, weight); }

Tensor GELU::operator()(const Tensor& x) const {
  switch (approx) {
    case GELUApproximation::kNone:
      return gelu(x);
    case GELUApproximation::kFast:
      return gelu_fast_approx(x);
    case GELUApproximation::kPrecise:
    case GELUApproximation::kTanh:
      break;
  }
  return gelu_approx(x);
}

template <>
struct EnumNames<GELUApproximation> {
  static constexpr std::array<std::string_view, 4> values = {"none", "precise", "tanh", "fast"};
};

namespace {

// A function as a layer, whose options are the function's.
class Activation final : public Layer {
 public:
  Activation(const LayerDef& row, ops::Attrs options) : Layer(row), options_(std::move(options)) {}

  NamedTensors parameters() const override { return {}; }
  std::shared_ptr<const Layer> with(const Parameters& parameters, bool strict) const override {
    naming::Loading(parameters, row().name).finish(strict);
    return std::make_shared<Activation>(row(), options_);
  }
  std::shared_ptr<const Layer> with_matrices(const MatrixChange& /*change*/) const override {
    return std::make_shared<Activation>(row(), options_);
  }
  LayerAnswer call(const FunctionCall& call) const override {
    const std::optional<Tensor> x = call[0];
    return {nn::call(*row().activation, {&x, 1}, options_)};
  }

  static std::shared_ptr<const Layer> make(const LayerDef& row, const ops::Attrs& options,
                                           const Tensor& /*key*/) {
    return std::make_shared<Activation>(row, options);
  }

 private:
  ops::Attrs options_;
};

}  // namespace

std::span<const LayerDef> activation_layers() {
  static const auto& rows = *[] {
    auto* const all = new std::vector<LayerDef>();
    // What mlx.nn has as one layer with a choice, or with a weight.
    constexpr std::string_view kOthers[] = {"gelu", "gelu_approx", "gelu_fast_approx", "prelu"};
    for (const FunctionDef& function : activation_functions()) {
      if (std::find(std::begin(kOthers), std::end(kOthers), function.name) != std::end(kOthers))
        continue;
      all->push_back({.name = function.name,
                      .options = function.options,
                      .operands = function.operands,
                      .on_call = {},
                      .activation = &function,
                      .make = &Activation::make});
    }
    all->push_back(layer_row<GELU>("gelu"));
    all->push_back(layer_row<PReLU>("prelu"));
    return all;
  }();
  return rows;
}

}  // namespace mlxnx::nn
