// Evaluation of tensors on the engine.
#include <initializer_list>
#include <vector>

#include "mlxc/check.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "tensor/node.h"

namespace mlxnx {
namespace tensors {
namespace {

mlxc::ArrayVector arrays_of(std::span<Node* const> nodes) {
  InlineVector<mlx_array, 8> handles;
  for (const Node* node : nodes) handles.push_back(node->array.raw());
  return mlxc::ArrayVector(std::span<const mlx_array>(handles));
}

}  // namespace

void evaluate(std::span<Node* const> nodes) {
  InlineVector<Node*, 8> pending;
  for (Node* node : nodes) {
    if (!node->ready.load(std::memory_order_acquire)) pending.push_back(node);
  }
  if (pending.empty()) return;
  mlxc::Engine::current().run([&pending] {
    const mlxc::OpScope scope("eval");
    const mlxc::ArrayVector arrays = arrays_of(pending);
    mlxc::eval(arrays);
  });
  for (Node* node : pending) {
    node->depth.store(0, std::memory_order_relaxed);
    node->ready.store(true, std::memory_order_release);
  }
}

namespace {
void schedule(std::vector<std::shared_ptr<Node>> nodes) {
  for (const auto& node : nodes) node->depth.store(0, std::memory_order_relaxed);
  // An evaluation that fails here fails again, with its message, where the result is read.
  mlxc::Engine::current().post([nodes = std::move(nodes)] {
    InlineVector<Node*, 8> pending;
    for (const auto& node : nodes) {
      if (!node->ready.load(std::memory_order_acquire)) pending.push_back(node.get());
    }
    if (pending.empty()) return;
    const mlxc::ArrayVector arrays = arrays_of(pending);
    mlxc::async_eval(arrays);
  });
}
}  // namespace

Tensor wrap(mlxc::Array array, TensorType type, std::uint32_t depth) {
  auto node = std::make_shared<Node>(std::move(array), std::move(type), depth);
  if (depth >= kMaxDepth) [[unlikely]]
    schedule({node});
  return Tensor(std::move(node));
}

}  // namespace tensors

void eval(std::span<const Tensor> tensors) {
  InlineVector<tensors::Node*, 8> nodes;
  for (const Tensor& value : tensors) nodes.push_back(&value.node());
  tensors::evaluate(nodes);
}

void eval(std::initializer_list<Tensor> tensors) {
  eval(std::span(tensors.begin(), tensors.size()));
}

void eval(const Tensor& value) {
  tensors::Node* node = &value.node();
  tensors::evaluate({&node, 1});
}

void async_eval(std::span<const Tensor> tensors) {
  std::vector<std::shared_ptr<tensors::Node>> nodes;
  for (const Tensor& value : tensors) nodes.push_back(value.node_ptr());
  tensors::schedule(std::move(nodes));
}

void synchronize() {
  mlxc::Engine& engine = mlxc::Engine::current();
  engine.run([&engine] {
    for (const Device device : {Device::kCpu, Device::kGpu}) {
      if (is_available(device)) mlxc::synchronize(engine.stream(device));
    }
  });
}

}  // namespace mlxnx
