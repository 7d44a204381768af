// Optimizers: how parameters change by their gradients.
//
// An optimizer remembers nothing. `init` makes its state, and `update` answers the new parameters
// and the new state, so that a step can be compiled together with the gradient:
//
//     const optimizers::Adam adam({.learning_rate = 1e-3});
//     optimizers::State state = adam.init(model);
//     auto step = jit([&](const Model& model, const State& state, const Tensor& x) {
//       const auto [loss, slopes] = value_and_grad(f)(model, x);
//       return std::tuple(loss, adam.update(slopes, state, model));
//     });
//
// Parameters are values made of tensors (tensor_tree.h). The state is a map of tensors by mlx's
// names: "step" (u64), "learning_rate" (f32), and the parameter's name with ".m", ".v", … for each
// parameter, so that it is saved and loaded as weights are. Numbers are computed in the types of
// the gradients, and parameters and state keep theirs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/nn/layer.h"
#include "mlxnx/optimizers/schedules.h"
#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx::optimizers {

/// Tensors by their dotted names.
using State = std::map<std::string, Tensor>;

/// A number or a schedule.
class LearningRate {
 public:
  LearningRate(double value) : value_(value) {}
  LearningRate(Schedule schedule) : schedule_(std::move(schedule)) {}

  bool is_schedule() const { return schedule_ != nullptr; }
  /// What it is at a step, in f32.
  Tensor at(const Tensor& step) const;

 private:
  double value_ = 0;
  Schedule schedule_;
};

/// What an optimizer does with named tensors.
class Method {
 public:
  struct Updated {
    std::vector<Tensor> parameters;  ///< in the order in which they came
    State state;
  };

  Method() = default;
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;
  virtual ~Method() = default;

  virtual std::string_view name() const = 0;
  virtual State init(const nn::NamedTensors& parameters) const = 0;
  /// `gradients` in the order of `parameters`.
  virtual Updated update(const std::vector<Tensor>& gradients, const State& state,
                         const nn::NamedTensors& parameters) const = 0;
};

/// An optimizer of any kind; those of mlx are in methods.h. Copies share everything.
class Optimizer {
 public:
  explicit Optimizer(std::shared_ptr<const Method> method) : method_(std::move(method)) {}

  /// That of mlx in snake case.
  std::string_view name() const { return method_->name(); }

  /// The state before the first step. Parameters that are frozen, statistics (`nn::is_statistic`)
  /// and tensors of integers have no part in it, and `update` leaves them as they are.
  /// mlx: Optimizer.init
  template <typename Params>
  State init(const Params& params, const nn::NamePredicate& trainable = {}) const {
    return init_named(nn::named_tensors(params), trainable);
  }

  /// The parameters after a step, and the state after it. A learning rate that is no schedule is
  /// read from the state, where it may be replaced.
  /// Throws: ShapeError for a gradient of another shape than its parameter; ArgumentError for
  /// gradients of another structure, and a state that is not of these parameters (names are
  /// listed). mlx: Optimizer.update
  template <typename Params>
  std::pair<Params, State> update(const Params& gradients, const State& state,
                                  const Params& params) const {
    Method::Updated updated = update_named(tensors_of(gradients), state, nn::named_tensors(params));
    return {with_tensors(params, updated.parameters), std::move(updated.state)};
  }

  /// The same for named tensors.
  State init_named(const nn::NamedTensors& parameters,
                   const nn::NamePredicate& trainable = {}) const;
  Method::Updated update_named(const std::vector<Tensor>& gradients, const State& state,
                               const nn::NamedTensors& parameters) const;

 private:
  std::shared_ptr<const Method> method_;
};

/// Scales `gradients` so that the norm of all of them together is at most `max_norm`, and answers
/// them with the norm that they had, which is infinite or NaN if one of them is (finite gradients
/// beside an infinite one become 0). Types stay; the norm is at least f32, or bf16 where all
/// gradients are.
/// Throws: ArgumentError for a negative `max_norm`. mlx: optimizers.clip_grad_norm
///
///     auto [clipped, norm] = clip_grad_norm(std::vector{tensor({3.0, 4.0})}, 1.0);  // norm 5.0
template <typename Gradients>
std::pair<Gradients, Tensor> clip_grad_norm(const Gradients& gradients, double max_norm);

/// The same for flat tensors.
std::pair<std::vector<Tensor>, Tensor> clip_tensors(const std::vector<Tensor>& gradients,
                                                    double max_norm);

template <typename Gradients>
std::pair<Gradients, Tensor> clip_grad_norm(const Gradients& gradients, double max_norm) {
  auto [clipped, norm] = clip_tensors(tensors_of(gradients), max_norm);
  return {with_tensors(gradients, clipped), std::move(norm)};
}

}  // namespace mlxnx::optimizers
