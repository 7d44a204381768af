// What a Tensor shares with its copies: one node of MLX's graph with Nx's type and shape.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "mlxc/array.h"
#include "mlxc/engine.h"
#include "mlxc/loss.h"
#include "mlxnx/tensor.h"

namespace mlxnx::tensors {

/// Graph depth at which a node is scheduled by itself, so that a long chain that nobody reads holds
/// bounded memory.
inline constexpr std::uint32_t kMaxDepth = 256;

/// A rough bound on the time that computing something takes, in nanoseconds; `kMuchWork` for "may
/// be long".
using Work = std::uint32_t;
inline constexpr Work kMuchWork = 1u << 30;

/// The sum, without overflow.
inline Work add_work(Work a, Work b) {
  return std::min(a, kMuchWork) + std::min(b, kMuchWork) > kMuchWork ? kMuchWork : a + b;
}

/// What an op, or a node's graph, weighs: ops one behind the other, and their work.
struct Weight {
  std::uint32_t depth = 0;
  Work work = 0;
  mlxc::Generation generation = mlxc::generation();  // the oldest of the operands not yet evaluated
};

/// The depth of a node that stands for a value of a function while it is traced: it has no array.
inline constexpr std::uint32_t kTraced = std::numeric_limits<std::uint32_t>::max();

/// Evaluations that have ended, of all engines.
extern constinit std::atomic<std::uint32_t> ended_evaluations;

struct Node {
  Node(mlxc::Array array, TensorType type, Weight weight)
      : array(std::move(array)),
        type(std::move(type)),
        depth(weight.depth),
        work(weight.work),
        generation(weight.generation),
        queue(mlxc::Engine::current_queue()) {}

  /// The engine whose stream the array was built with.
  mlxc::Engine& engine() const { return queue != nullptr ? *queue : mlxc::Engine::process(); }

  bool is_traced() const { return depth.load(std::memory_order_relaxed) == kTraced; }

  /// May hold MLX's bool where `type` says u8: the bytes are the same.
  mlxc::Array array;
  TensorType type;
  /// Ops since the last evaluated ancestor; 0 for a value that is ready or being computed.
  std::atomic<std::uint32_t> depth;
  /// Of the graph since the evaluated ancestors.
  std::atomic<Work> work;
  /// See mlxc/loss.h.
  const mlxc::Generation generation;
  /// Whether the elements may be read. Set only after an evaluation on the engine returned.
  std::atomic<bool> ready{false};
  /// Whether what they are may decide that an op refuses them: they are ready, and not only because
  /// an evaluation passed by, which nobody can foresee where several threads evaluate.
  std::atomic<bool> known{false};
  /// Of `ended_evaluations`: how many were asked whether they computed the node.
  std::atomic<std::uint32_t> asked{ended_evaluations.load(std::memory_order_relaxed)};
  /// Null for the process's own engine.
  const std::shared_ptr<mlxc::Engine> queue;
};

/// Whether `node` waits for another engine than the current one. Nodes of two engines can't be
/// evaluated together: each knows its own streams only.
inline bool is_foreign(const Node& node) {
  const mlxc::Engine* const current = mlxc::thread_state.engine;
  if (current == nullptr && node.queue == nullptr) [[likely]]
    return false;
  return &node.engine() != &mlxc::Engine::current() && !node.ready.load(std::memory_order_acquire);
}

/// Wraps a freshly built node; schedules it when its graph has grown deep.
Tensor wrap(mlxc::Array array, TensorType type, Weight weight = {1, kMuchWork});

/// Wraps an array whose elements may be read.
Tensor wrap_ready(mlxc::Array array, TensorType type, bool known = true);

/// The tensor whose elements are the pages of a file; they are not read yet.
/// Throws: UnsupportedError for dimensions that MLX can't count.
Tensor from_pages(files::Pages pages, const TensorType& type);

/// Whether an evaluation has computed a node that is not ready on its way to another one, which is
/// ready then. Asks where that needs no waiting, and once after an evaluation.
bool was_computed(Node& node);

/// Whether the elements of `node` may be read.
inline bool is_ready(Node& node) {
  return node.ready.load(std::memory_order_acquire) || was_computed(node);
}

/// Evaluates the nodes that are not ready, each on the engine it was built for. Throws:
/// BackendError; ArgumentError for a traced one.
void evaluate(std::span<Node* const> nodes);

/// Evaluates the nodes if that is a matter of some microseconds on this thread: little work, an
/// idle engine. Returns: whether all are ready.
bool evaluate_if_quick(std::span<Node* const> nodes);

}  // namespace mlxnx::tensors
