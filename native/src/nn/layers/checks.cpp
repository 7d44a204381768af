#include "nn/layers/checks.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"
#include "nn/options.h"
#include "ops/type_rules.h"

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

void require_spatial(const Tensor& x, std::size_t spatial, std::string_view layer) {
  require_rank(x, spatial + 2, spatial + 2, fmt::format("batch, {} spatial, channels", spatial),
               layer);
}

Axes on_each(std::size_t spatial, const PerAxis& given, std::int64_t least, std::string_view name,
             std::string_view layer) {
  if (given.values.empty())
    throw ArgumentError(fmt::format("[{}] {} has to be given", layer, name));
  if (given.values.size() != 1 && given.values.size() != spatial) {
    throw ArgumentError(
        fmt::format("[{}] {} is {}, it takes one number, or one for each of {} axes", layer, name,
                    to_string(given.values), spatial));
  }
  for (const std::int64_t value : given.values) at_least(least, value, name, layer);
  return given.values.size() == spatial ? given.values : Axes(spatial, given.values.front());
}

Tensor wide(const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); }

Tensor plus_bias(const Tensor& x, const std::optional<Tensor>& bias) {
  return bias ? x + *bias : x;
}

}  // namespace mlxnx::nn
