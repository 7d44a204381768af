// Turns mlx-c's status codes and its error callback into exceptions.
// mlx-c reports an error by calling one process-wide handler and then returning non-zero (or an
// empty handle, or null from getters without a status). The handler installed here keeps the first
// text per thread; `check` throws it.
#pragma once

#include <string>

#include "mlxc/thread_state.h"

namespace mlxnx::mlxc {

/// Installs the error handler. Idempotent; called before the first mlx-c call of the process,
/// because mlx-c's own default handler exits the process.
void install_error_handler();

/// Throws BackendError with the text stored for this thread and forgets it.
[[noreturn]] void throw_pending_error(const char* function);

/// Whether an error text is stored for this thread.
bool has_pending_error();

/// Forgets the error text stored for this thread.
void clear_pending_error();

/// Throws BackendError when `status` says that the mlx-c call `function` failed.
inline void check(int status, const char* function) {
  if (status != 0) [[unlikely]]
    throw_pending_error(function);
}

/// Names the op that the calls on this thread belong to, for error texts.
class OpScope {
 public:
  explicit OpScope(const char* op) : state_(thread_state), outer_(state_.op) { state_.op = op; }
  ~OpScope() { state_.op = outer_; }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  ThreadState& state_;
  const char* outer_;
};

}  // namespace mlxnx::mlxc
