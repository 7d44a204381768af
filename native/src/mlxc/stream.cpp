#include "mlxc/stream.h"

#include "mlxnx/error.h"

namespace mlxnx::mlxc {
namespace {
thread_local mlx_stream current{nullptr};
}

mlx_stream current_stream() {
  if (current.ctx == nullptr) [[unlikely]]
    throw BackendError("[stream] no stream is open on this thread");
  return current;
}

StreamScope::StreamScope(mlx_stream stream) : outer_(current) { current = stream; }
StreamScope::~StreamScope() { current = outer_; }

}  // namespace mlxnx::mlxc
