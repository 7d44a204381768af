#include "api/function.h"

#include "ops/operands.h"
#include "tensor/node.h"

namespace mlxnx::api {
namespace {

Tensor as_tensor(const mlxc::Array& array) {
  return tensors::wrap(array, {array.dtype(), ops::shape_of(array)});
}

}  // namespace

std::shared_ptr<const ops::Function> on_arrays(const Reducer& function) {
  if (!function) throw ArgumentError("[reduce] the function is empty");
  return std::make_shared<const ops::Function>(
      ops::Function{.name = "callable",
                    .apply =
                        [function](const mlxc::Array& element, const mlxc::Array& accumulator) {
                          return function(as_tensor(element), as_tensor(accumulator)).node().array;
                        },
                    .on_tensors = function});
}

}  // namespace mlxnx::api
