// Runs golden calls in a child process, so that one that crashes or hangs is a failure like any
// other and the rest still runs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <span>

#include "replay/golden_data.h"
#include "replay/runner.h"

namespace mlxnx::cli {

class IsolatedRunner {
 public:
  struct Options {
    RunOptions run;
    /// How long a call may take.
    std::chrono::milliseconds time_limit = std::chrono::minutes(2);
    /// Whether a child process is used. On macOS a forked process can't use Metal.
#ifdef __APPLE__
    bool use_child = false;
#else
    bool use_child = true;
#endif
  };

  /// The cases must outlive the runner. This process must not have used MLX before, because the
  /// child is a copy of it.
  IsolatedRunner(std::span<const GoldenCase* const> cases, const Options& options)
      : cases_(cases), options_(options) {}
  ~IsolatedRunner() { stop(); }
  IsolatedRunner(const IsolatedRunner&) = delete;
  IsolatedRunner& operator=(const IsolatedRunner&) = delete;

  /// The outcome of the next case.
  /// Throws: BackendError when no process can be started.
  Outcome next();

  /// The process that runs the cases, -1 before the first.
  pid_t child() const { return child_; }

 private:
  void start();
  /// Ends the child. Returns: its wait status, 0 when there is none.
  int stop();
  [[noreturn]] void serve(int out) const;
  bool receive(std::span<std::byte> bytes, bool& timed_out) const;

  std::span<const GoldenCase* const> cases_;
  Options options_;
  std::size_t next_ = 0;
  pid_t child_ = -1;
  int in_ = -1;
};

}  // namespace mlxnx::cli
