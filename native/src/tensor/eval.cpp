// Evaluation of tensors on the engine.
#include <algorithm>
#include <initializer_list>
#include <map>
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
  while (!pending.empty()) {
    mlxc::Engine& engine = pending.front()->engine();
    const auto others =
        std::stable_partition(pending.begin(), pending.end(),
                              [&engine](Node* node) { return &node->engine() == &engine; });
    const std::span<Node* const> own(pending.begin(), others);
    engine.run([own] {
      const mlxc::OpScope scope("eval");
      const mlxc::ArrayVector arrays = arrays_of(own);
      mlxc::eval(arrays);
    });
    for (Node* node : own) {
      node->depth.store(0, std::memory_order_relaxed);
      node->ready.store(true, std::memory_order_release);
    }
    pending = InlineVector<Node*, 8>(others, pending.end());
  }
}

namespace {
// The nodes belong to one engine.
void schedule(std::vector<std::shared_ptr<Node>> nodes) {
  if (nodes.empty()) return;
  for (const auto& node : nodes) node->depth.store(0, std::memory_order_relaxed);
  mlxc::Engine& engine = nodes.front()->engine();
  // An evaluation that fails here fails again, with its message, where the result is read.
  engine.post([nodes = std::move(nodes)] {
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
  std::map<mlxc::Engine*, std::vector<std::shared_ptr<tensors::Node>>> by_engine;
  for (const Tensor& value : tensors) by_engine[&value.node().engine()].push_back(value.node_ptr());
  for (auto& [engine, nodes] : by_engine) tensors::schedule(std::move(nodes));
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
