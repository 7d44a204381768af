// The engine: the one place where graphs are evaluated, compiled and transformed.
//
// MLX binds streams to threads, keeps its compile cache per thread and its tracing state per
// process, and rewrites the graph nodes that it evaluates. So an engine owns one thread, the
// streams that this thread made, and a queue of jobs; at any moment at most one job has the turn.
// Building a graph needs no engine, only one of its streams.
//
// Where any thread may evaluate on the CPU (encoders.h) and there is no GPU, a caller that finds
// the engine idle runs its job itself and saves the hop to the engine's thread; otherwise the job
// is queued and the caller waits.
//
// The turn goes round: a job that has to wait for the outside (a host callback) calls
// `serve_until`, and others have it meanwhile, so that the callback may itself evaluate tensors; a
// job that lasts calls `give_way` where it holds nothing half done. Where only the engine's own
// thread may evaluate the others run on top of such a job, which goes on when they have ended.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

#include "mlx/c/stream.h"
#include "mlxc/thread_state.h"
#include "mlxnx/device.h"

namespace mlxnx::mlxc {

class Engine : public std::enable_shared_from_this<Engine> {
 public:
  using Job = std::function<void()>;

  /// Starts the thread and makes its streams: one for each device of this machine.
  /// Throws: BackendError when MLX can't make them.
  Engine();
  /// Stops as `stop` does.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// The engine of the innermost EngineScope on this thread, else the process's own.
  static Engine& current();

  /// The current engine where it is a queue, one held by shared pointers, else null: the process's
  /// own needs no owner.
  static std::shared_ptr<Engine> current_queue() {
    Engine* const engine = thread_state.engine;
    return engine == nullptr ? nullptr : engine->weak_from_this().lock();
  }

  /// The process's own engine.
  static Engine& process();

  /// The stream that nodes for `device` are built with. Owned by the engine.
  mlx_stream stream(Device device) const;

  /// Runs `job` and returns when it has ended; inside a job it simply runs.
  /// Throws: what the job throws; BackendError when the engine is stopped.
  void run(const Job& job);

  /// Runs `job` on the calling thread if that needs no waiting: MLX lets any thread evaluate, the
  /// engine is idle, and nothing that was started earlier is unfinished. Returns: whether it ran.
  /// Throws: what the job throws.
  bool try_run(const Job& job);

  /// Inside a job: whether work has been started that nobody waits for.
  void set_backlog(bool has_backlog);

  /// The same on the engine's own thread, whose stack is large: for jobs that trace graphs of any
  /// depth. Inside a job it simply runs, on the thread of that job.
  void run_on_own_thread(const Job& job);

  /// Runs `job` soon, without waiting; what it throws is dropped.
  void post(Job job);

  /// Inside a job: lets others have the turn until `ready` answers true. Whoever makes it true
  /// calls `wake` afterwards.
  void serve_until(const std::function<bool()>& ready);

  /// Whether jobs wait for their turn. Any thread; a glance that costs nothing.
  bool has_waiting() const;

  /// Inside a job that has had the turn for some milliseconds: those who wait go first. Nothing
  /// outside of a job, or within a job of another engine.
  void give_way();

  /// Makes `serve_until` ask again. Any thread.
  void wake();

  /// Refuses new jobs, fails those still queued with BackendError, and waits for the running one,
  /// and for what was started on the CPU, for at most `patience`; an engine whose job outlasts it
  /// is left to itself. Idempotent.
  void stop(std::chrono::milliseconds patience = std::chrono::seconds(5));

  /// Whether the calling thread is running a job of this engine.
  bool inside() const;

  struct State;  ///< for the implementation; outlives the engine when its thread can't be joined

 private:
  void queue_and_wait(const Job& job);

  std::shared_ptr<State> state_;
};

/// Makes `engine` the current one on this thread until the scope ends. Shared, because tensors
/// built under it keep it: it is the one that can evaluate them.
class EngineScope {
 public:
  explicit EngineScope(const std::shared_ptr<Engine>& engine)
      : state_(thread_state), outer_(state_.engine) {
    state_.engine = engine.get();
  }
  ~EngineScope() { state_.engine = outer_; }
  EngineScope(const EngineScope&) = delete;
  EngineScope& operator=(const EngineScope&) = delete;

 private:
  ThreadState& state_;
  Engine* outer_;
};

}  // namespace mlxnx::mlxc
