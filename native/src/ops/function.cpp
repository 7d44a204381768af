#include "ops/function.h"

#include <memory>

#include "mlxc/graph.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {

void check_steps(const Call& call, std::int64_t steps) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  if (steps <= kMost) return;
  call.unsupported("a function can fold at most " + std::to_string(kMost) +
                   " elements into one, got " + std::to_string(steps));
}

mlxc::Array apply_function(const Call& call, const mlxc::Array& element,
                           const mlxc::Array& accumulator, DType type) {
  const Function& function = *call.attr<std::shared_ptr<const Function>>("fun");
  const mlxc::Array result = function.apply(element, accumulator);
  const Shape wanted = shape_of(accumulator);
  const Shape given = shape_of(result);
  if (given != wanted &&
      (given.size() > wanted.size() || broadcast_shapes(call, given, wanted) != wanted)) {
    call.shape_error("the function answers " + to_string(given) + " for elements of shape " +
                     to_string(wanted));
  }
  const mlxc::Array typed =
      result.is_bool() ? mlxc::astype(result, type) : convert(result, result.dtype(), type);
  return broadcast_to_shape(typed, wanted);
}

}  // namespace mlxnx::ops
