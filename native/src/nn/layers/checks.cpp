#include "nn/layers/checks.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"

namespace mlxnx::nn {

void require_last_axis(const Tensor& x, std::int64_t size, std::string_view layer) {
  if (x.rank() > 0 && x.shape().back() == size) return;
  throw ShapeError(fmt::format("[{}] the last axis of {} should have {} elements", layer,
                               to_string(x.type()), size));
}

void require_rank(const Tensor& x, std::size_t least, std::size_t most, std::string_view what,
                  std::string_view layer) {
  if (x.rank() >= least && x.rank() <= most) return;
  throw ShapeError(
      fmt::format("[{}] {} should have the axes {}", layer, to_string(x.type()), what));
}

const std::string& activation_name(const std::string& name, std::string_view option,
                                   std::string_view layer) {
  for (const FunctionDef& row : activation_functions()) {
    if (row.name == name && row.operands.size() == 1) return name;
  }
  throw ArgumentError(fmt::format(
      "[{}] {} is \"{}\"; it has to be the name of an activation function of one tensor", layer,
      option, name));
}

Tensor activated(const Tensor& x, const std::string& name) {
  const std::optional<Tensor> operand = x;
  return call(function(Family::kActivation, name), {&operand, 1}, {}).front();
}

Tensor plus_bias(const Tensor& x, const std::optional<Tensor>& bias) {
  return bias ? x + *bias : x;
}

}  // namespace mlxnx::nn
