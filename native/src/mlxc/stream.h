// The stream that graph-building calls on this thread use. Every mlx-c op takes an explicit stream,
// because MLX's own default streams belong to threads; here the op layer opens a scope and the
// wrappers in graph.h read it.
#pragma once

#include "mlx/c/stream.h"

namespace mlxnx::mlxc {

/// The stream of the innermost scope on this thread.
/// Throws: BackendError when no scope is open.
mlx_stream current_stream();

/// Makes `stream` the current one until the scope ends. The stream is borrowed: engines own
/// streams.
class StreamScope {
 public:
  explicit StreamScope(mlx_stream stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  mlx_stream outer_;
};

}  // namespace mlxnx::mlxc
