// Nodes of MLX's graph that are made like another one.
#include <memory>
#include <utility>
#include <vector>

#include "mlx/array.h"
#include "mlx/primitives.h"
#include "mlxc/element_function.h"
#include "node_of.h"

namespace mlxnx::mlxc {

namespace core = mlx::core;

struct NodeKind::Life {
  struct Input {
    std::size_t index;                    // of those given
    std::optional<core::array> constant;  // in its place
  };
  std::shared_ptr<core::Primitive> primitive;
  core::Dtype type;
  std::vector<Input> inputs;
};

std::optional<NodeKind> NodeKind::of(const Array& array, std::span<const Array> inputs) {
  const core::array& node = node_of(array);
  if (!node.has_primitive() || !node.siblings().empty()) return std::nullopt;
  // Others may remember the shape that they were made for.
  if (dynamic_cast<const core::Compiled*>(&node.primitive()) == nullptr) return std::nullopt;
  std::vector<Life::Input> order;
  for (const core::array& input : node.inputs()) {
    std::size_t i = 0;
    while (i < inputs.size() && node_of(inputs[i]).id() != input.id()) ++i;
    if (i < inputs.size()) {
      order.push_back({i, std::nullopt});
    } else if (!input.has_primitive() && input.size() == 1) {
      order.push_back({i, input});
    } else {
      return std::nullopt;
    }
  }
  NodeKind kind;
  kind.life_ =
      std::make_shared<const Life>(Life{node.primitive_ptr(), node.dtype(), std::move(order)});
  return kind;
}

Array NodeKind::operator()(std::span<const Array> inputs) const {
  std::vector<core::array> own;
  own.reserve(life_->inputs.size());
  for (const Life::Input& input : life_->inputs)
    own.push_back(input.constant ? *input.constant : node_of(inputs[input.index]));
  auto node = std::make_unique<core::array>(node_of(inputs[0]).shape(), life_->type,
                                            life_->primitive, std::move(own));
  return Array::adopt({node.release()});
}

}  // namespace mlxnx::mlxc
