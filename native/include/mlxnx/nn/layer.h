// What all layers have in common.
//
// A layer is a struct of tensors and numbers. Its members have mlx.nn's names and layouts, so that
// weights of mlx load as they are, and calling it changes nothing: what a layer would remember it
// answers. It is made from options and a key (u32[2]) that its first weights are drawn by; models
// are structs of layers:
//
//     struct Model {
//       nn::Linear first, second;
//       MLXNX_MEMBERS(first, second)
//       Tensor operator()(const Tensor& x) const { return second(nn::relu(first(x))); }
//     };
//     Model model{.first = {{.input_dims = 64, .output_dims = 32}, key_1},
//                 .second = {{.input_dims = 32, .output_dims = 10}, key_2}};
//     nn::parameters(model).at("first.weight");  // f32[32][64]
//
// `jit`, `value_and_grad`, `vmap` and all below take models and layers alike.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx::nn {

/// Tensors by their dotted names.
using Parameters = std::map<std::string, Tensor>;
/// The same in the order of the members.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
/// Says of a name whether it is meant.
using NamePredicate = std::function<bool(std::string_view name)>;

/// An option that has to be given.
inline constexpr std::int64_t kRequired = std::numeric_limits<std::int64_t>::min();

/// A number for each spatial axis, or one for all of them.
///
///     Conv2dOptions{.kernel_size = 3, .stride = {2, 1}}
struct PerAxis {
  Axes values;
  PerAxis() = default;
  PerAxis(std::int64_t value) : values{value} {}
  PerAxis(std::initializer_list<std::int64_t> each) : values(each) {}
  explicit PerAxis(Axes each) : values(std::move(each)) {}
};

/// The same of factors.
struct PerAxisFactor {
  std::vector<double> values;
  PerAxisFactor() = default;
  PerAxisFactor(double value) : values{value} {}
  PerAxisFactor(std::initializer_list<double> each) : values(each) {}
  explicit PerAxisFactor(std::vector<double> each) : values(std::move(each)) {}
};

namespace naming {

/// Puts given tensors in place of those that a model has, and notes what does not fit.
class Loading {
 public:
  /// `layer` is told in errors, where one by its name asks, which lets no names be passed over.
  explicit Loading(const Parameters& given, std::string_view layer = {})
      : given_(given), layer_(layer) {}
  void operator()(const std::string& name, Tensor& tensor);
  /// Throws: see `load_parameters`.
  void finish(bool is_strict) const;

 private:
  const Parameters& given_;
  std::string_view layer_;
  std::vector<std::string> missing_, misshapen_, mistyped_;
  std::map<std::string, bool> known_;
};

std::string summary(const NamedTensors& tensors, const NamePredicate& trainable);

}  // namespace naming

/// The tensors of a model with their names, in the order of its members.
template <typename Model>
NamedTensors named_tensors(const Model& model) {
  NamedTensors tensors;
  auto on_tensor = [&](const std::string& name, const Tensor& tensor) {
    tensors.emplace_back(name, tensor);
  };
  visit_named(model, on_tensor);
  return tensors;
}

/// The tensors of a model by their names, running statistics included. mlx: Module.parameters
template <typename Model>
Parameters parameters(const Model& model) {
  Parameters all;
  for (auto& [name, tensor] : named_tensors(model)) all.emplace(name, std::move(tensor));
  return all;
}

/// `model` with the tensors of these names in place of its own; their shapes must be the same.
/// Where it has floats any other type of floats is taken, elsewhere only its own type. If not
/// `strict`, those that are missing stay as they are, and names that it does not have are left out.
/// Throws: ArgumentError with up to ten names of each kind that does not fit, and how many more
/// there are. mlx: Module.load_weights
///
///     model = nn::load_parameters(model, {{"weight", w}, {"bias", b}});
template <typename Model>
Model load_parameters(Model model, const Parameters& parameters, bool strict = true) {
  naming::Loading loading(parameters);
  visit_named(model, loading);
  loading.finish(strict);
  return model;
}

/// How many elements the tensors of a model have.
template <typename Model>
std::int64_t count_parameters(const Model& model) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : named_tensors(model)) count += tensor.size();
  return count;
}

/// Whether a tensor of that name holds what training counts rather than learns: the running mean
/// and variance of `BatchNorm`. No gradient goes there, whatever is trainable.
bool is_statistic(std::string_view name);

/// What `GradOptions::trainable` is for a model: the parameters that are not frozen, and no
/// statistics.
///
///     value_and_grad(loss, {.trainable = nn::trainable()});
///     value_and_grad(loss, {.trainable = nn::trainable([](std::string_view name) {
///                      return name.starts_with("head.");
///                    })});
NamePredicate trainable(NamePredicate which = {});

/// A table of a model's tensors: name, type, shape, whether it is trained, bytes; and their sums.
///
///     name    type  shape    trainable  bytes
///     weight  f32   {5, 3}   yes           60
///     bias    f32   {5}      yes           20
///     total                  20 of 20      80
template <typename Model>
std::string summary(const Model& model, const NamePredicate& which = {}) {
  return naming::summary(named_tensors(model), trainable(which));
}

}  // namespace mlxnx::nn
