// A function of an element and an accumulator, from the graph that it builds.
#include "mlxc/function_fold.h"

#include <algorithm>
#include <memory>

#include "elementwise_primitive.h"
#include "mlx/array.h"
#include "mlxc/fusion.h"
#include "node_of.h"

namespace mlxnx::mlxc {

std::optional<FoldFunction> fold_function(const Array& result, const Array& element,
                                          const Array& accumulator,
                                          std::span<const Array> captures) {
  std::vector<Array> given = {element, accumulator};
  given.insert(given.end(), captures.begin(), captures.end());
  const Array whole = std::move(fused({&result, 1}, given).front());
  const mlx::core::array& node = node_of(whole);
  const auto is_given = [&](const mlx::core::array& array) {
    return std::ranges::any_of(given,
                               [&](const Array& one) { return node_of(one).id() == array.id(); });
  };
  if (is_given(node) || !node.has_primitive() || !node.siblings().empty()) return std::nullopt;
  const auto* const own = dynamic_cast<const mlx_hooks::ElementwisePrimitive*>(&node.primitive());
  if (own == nullptr) return std::nullopt;
  FoldFunction function{own->plan(), {}, {}};
  for (const mlx::core::array& input : node.inputs()) {
    if (input.id() == node_of(element).id()) {
      function.inputs.push_back(0);
    } else if (input.id() == node_of(accumulator).id()) {
      function.inputs.push_back(1);
    } else {
      // What is computed in between may depend on the element.
      if (input.size() != 1 || (input.has_primitive() && !is_given(input))) return std::nullopt;
      function.inputs.push_back(static_cast<int>(2 + function.captures.size()));
      function.captures.push_back(
          Array::adopt({std::make_unique<mlx::core::array>(input).release()}));
    }
  }
  return function;
}

}  // namespace mlxnx::mlxc
