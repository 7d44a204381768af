// The stream that graph-building calls on this thread use. Every mlx-c op takes an explicit stream,
// because MLX's own default streams belong to threads; here the op layer opens a scope and the
// wrappers in graph.h read it.
#pragma once

#include <utility>

#include "mlx/c/stream.h"
#include "mlxc/thread_state.h"
#include "mlxnx/device.h"

namespace mlxnx::mlxc {

/// The stream of the innermost scope on this thread.
/// Throws: BackendError when no scope is open.
inline mlx_stream current_stream();

[[noreturn]] void throw_no_stream();

/// The device that the current stream belongs to, which is one of the engine's.
Device current_device();

/// Makes `stream` the current one until the scope ends. The stream is borrowed: engines own
/// streams.
class StreamScope {
 public:
  explicit StreamScope(mlx_stream stream)
      : state_(thread_state), outer_(std::exchange(state_.stream, stream)) {}
  ~StreamScope() { state_.stream = outer_; }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  ThreadState& state_;
  mlx_stream outer_;
};

inline mlx_stream current_stream() {
  const mlx_stream stream = thread_state.stream;
  if (stream.ctx == nullptr) [[unlikely]]
    throw_no_stream();
  return stream;
}

}  // namespace mlxnx::mlxc
