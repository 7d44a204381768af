// What an optimizer does with one parameter; `rule_optimizer` makes an optimizer of it. Read next:
// methods.cpp, the rules of all of them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/optimizers/optimizer.h"

namespace mlxnx::optimizers {

[[noreturn]] inline void refuse(std::string_view owner, const std::string& what) {
  throw ArgumentError("[" + std::string(owner) + "] " + what);
}

/// A tensor that the state holds for a parameter, in the type of that; it begins as 0.
struct Slot {
  std::string_view name;
  Shape shape;
};

/// One parameter in one step.
struct Single {
  const Tensor& gradient;
  const Tensor& parameter;
  std::map<std::string_view, Tensor>& slots;   ///< read, and written anew
  const Tensor& step;                          ///< after this one, in f32
  const std::optional<Tensor>& learning_rate;  ///< in f32

  /// The learning rate in the gradient's type.
  Tensor rate() const;
};

struct Rule {
  std::string_view name;
  std::optional<LearningRate> learning_rate;
  std::function<std::vector<Slot>(const Tensor& parameter)> slots;
  std::function<Tensor(const Single& single)> update;  ///< answers the new parameter
};

Optimizer rule_optimizer(Rule rule);

}  // namespace mlxnx::optimizers
