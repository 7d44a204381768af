// How a running program talks to its host: the caller that knows what hooks and runtime calls mean.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"
#include "program/ir.h"

namespace mlxnx::mlxc {
class Engine;
}

namespace mlxnx::program {

/// A hook or runtime call that a program has come to. The tensors are computed.
struct CallbackRequest {
  InstructionKind kind;       ///< kHook or kRuntimeCall
  std::string_view callback;  ///< the name that the program was built with
  std::vector<Tensor> values;
  std::vector<TensorType> outputs;  ///< what a runtime call should answer; empty for a hook
};

/// Where the answer goes. May be answered from any thread, and dropped: a second answer, or one
/// that nobody waits for any more, is ignored.
class Reply {
 public:
  explicit Reply(mlxc::Engine& engine) : engine_(&engine) {}

  void answer(std::vector<Tensor> values) noexcept;
  /// The program ends with `error`.
  void fail(std::exception_ptr error) noexcept;

  /// For the program that waits: whether `take` would not wait.
  bool is_answered() const { return answered_.load(std::memory_order_acquire); }
  /// Throws: what `fail` was given.
  std::vector<Tensor> take();
  /// Nobody waits any more.
  void abandon() noexcept;

 private:
  void finish(std::vector<Tensor> values, std::exception_ptr error) noexcept;

  std::mutex mutex_;
  mlxc::Engine* engine_;  // null once nobody waits
  // Read without the mutex: the engine asks with its own lock held, which answering takes last.
  std::atomic<bool> answered_{false};
  std::vector<Tensor> values_;
  std::exception_ptr error_;
};

/// Implemented by front doors. While a callback is under way the engine serves other jobs, so the
/// callback may itself evaluate tensors and run programs, on any thread.
class CallbackHost {
 public:
  virtual ~CallbackHost() = default;
  /// Starts the callback; may return before `reply` is answered. Called in the program's order, the
  /// next one only after the answer. A hook is answered with no tensors.
  virtual void start(CallbackRequest request, std::shared_ptr<Reply> reply) = 0;
};

}  // namespace mlxnx::program
