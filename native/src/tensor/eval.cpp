// Evaluation of tensors on the engine.
#include <algorithm>
#include <initializer_list>
#include <map>
#include <vector>

#include "mlxc/check.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "tensor/node.h"
#include "tensor/on_engine.h"

namespace mlxnx {
namespace tensors {

constinit std::atomic<std::uint32_t> ended_evaluations{0};

namespace {

mlxc::ArrayVector arrays_of(std::span<Node* const> nodes) {
  InlineVector<mlx_array, 8> handles;
  for (const Node* node : nodes) handles.push_back(node->array.raw());
  return mlxc::ArrayVector(std::span<const mlx_array>(handles));
}

}  // namespace

namespace {

using Nodes = InlineVector<Node*, 8>;

void require_value(const Node& node) {
  if (!node.is_traced()) return;
  throw ArgumentError("[trace] a " + to_string(node.type) +
                      " of a function that is being traced has no elements to read yet");
}

Nodes pending_of(std::span<Node* const> nodes) {
  Nodes pending;
  for (Node* node : nodes) {
    if (node->ready.load(std::memory_order_acquire)) {
      node->known.store(true, std::memory_order_release);
      continue;
    }
    require_value(*node);
    pending.push_back(node);
  }
  return pending;
}

// Inside a job of `engine`, which all nodes belong to.
void evaluate_here(mlxc::Engine& engine, std::span<Node* const> nodes) {
  const mlxc::OpScope scope("eval");
  for (const Node* node : nodes) mlxc::require_kept(node->generation);
  const mlxc::ArrayVector arrays = arrays_of(nodes);
  mlxc::eval(arrays);
  // A stream works in order: what is new to it ends after everything that was started before.
  const bool is_new = std::any_of(nodes.begin(), nodes.end(), [](const Node* node) {
    return node->depth.load(std::memory_order_relaxed) > 0;
  });
  if (is_new) engine.set_backlog(false);
}

void mark_ready(Node& node) {
  node.depth.store(0, std::memory_order_relaxed);
  node.work.store(0, std::memory_order_relaxed);
  node.ready.store(true, std::memory_order_release);
}

void end_evaluation(std::span<Node* const> nodes) {
  for (Node* node : nodes) {
    mark_ready(*node);
    node->known.store(true, std::memory_order_release);
  }
  ended_evaluations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// MLX says so of arrays whose kernels are only started, too, but not while nothing is under way.
bool was_computed(Node& node) {
  const std::uint32_t ended = ended_evaluations.load(std::memory_order_relaxed);
  if (node.asked.load(std::memory_order_relaxed) == ended || node.is_traced()) return false;
  if (node.generation != mlxc::newest_generation.load(std::memory_order_relaxed)) return false;
  bool result = false;
  if (!node.engine().try_run([&] { result = mlxc::is_computed(node.array); })) return false;
  node.asked.store(ended, std::memory_order_relaxed);
  if (result) mark_ready(node);
  return result;
}

void evaluate(std::span<Node* const> nodes) {
  Nodes pending = pending_of(nodes);
  while (!pending.empty()) {
    mlxc::Engine& engine = pending.front()->engine();
    const auto others =
        std::stable_partition(pending.begin(), pending.end(),
                              [&engine](Node* node) { return &node->engine() == &engine; });
    const std::span<Node* const> own(pending.begin(), others);
    engine.run([&engine, own] { evaluate_here(engine, own); });
    end_evaluation(own);
    pending = Nodes(others, pending.end());
  }
}

bool evaluate_if_quick(std::span<Node* const> nodes) {
  constexpr Work kQuickWork = 300'000;
  const Nodes pending = pending_of(nodes);
  if (pending.empty()) return true;
  mlxc::Engine& engine = pending.front()->engine();
  Work work = 0;
  for (const Node* node : pending) {
    if (&node->engine() != &engine) return false;
    work = add_work(work, node->work.load(std::memory_order_relaxed));
  }
  if (work > kQuickWork) return false;
  if (!engine.try_run([&] { evaluate_here(engine, pending); })) return false;
  end_evaluation(pending);
  return true;
}

namespace {
// The nodes belong to one engine.
void schedule(std::vector<std::shared_ptr<Node>> nodes) {
  if (nodes.empty()) return;
  for (const auto& node : nodes) require_value(*node);
  for (const auto& node : nodes) {
    node->depth.store(0, std::memory_order_relaxed);
    node->work.store(kMuchWork, std::memory_order_relaxed);  // it waits for what was started before
  }
  mlxc::Engine& engine = nodes.front()->engine();
  // An evaluation that fails here fails again, with its message, where the result is read.
  auto start = [&engine, nodes = std::move(nodes)] {
    Nodes pending;
    for (const auto& node : nodes) {
      if (!node->ready.load(std::memory_order_acquire)) pending.push_back(node.get());
    }
    if (pending.empty()) return;
    for (const Node* node : pending) mlxc::require_kept(node->generation);
    const mlxc::ArrayVector arrays = arrays_of(pending);
    engine.set_backlog(true);
    mlxc::async_eval(arrays);
  };
  if (!engine.inside()) return engine.post(std::move(start));
  // Who has the turn needs not wait for another.
  try {
    start();
  } catch (const BackendError&) {
  }
}
}  // namespace

void run_on_engine(const std::function<void()>& job) {
  mlxc::Engine::current().run([&job, device = default_device()] {
    const DeviceScope scope(device);
    job();
  });
}

Tensor wrap(mlxc::Array array, TensorType type, Weight weight) {
  auto node = std::make_shared<Node>(std::move(array), std::move(type), weight);
  // Within a job its end is near, or an evaluation.
  if (weight.depth >= kMaxDepth && !node->engine().inside()) [[unlikely]]
    schedule({node});
  return Tensor(std::move(node));
}

Tensor wrap_ready(mlxc::Array array, TensorType type, bool known) {
  auto node = std::make_shared<Node>(std::move(array), std::move(type), Weight{});
  node->ready.store(true, std::memory_order_release);
  node->known.store(known, std::memory_order_release);
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

void async_eval(std::initializer_list<Tensor> tensors) {
  async_eval(std::span(tensors.begin(), tensors.size()));
}

void async_eval(const Tensor& value) { async_eval(std::span(&value, 1)); }

void synchronize() {
  mlxc::Engine& engine = mlxc::Engine::current();
  engine.run([&engine] {
    for (const Device device : {Device::kCpu, Device::kGpu}) {
      if (is_available(device)) mlxc::synchronize(engine.stream(device));
    }
    engine.set_backlog(false);
  });
}

}  // namespace mlxnx
