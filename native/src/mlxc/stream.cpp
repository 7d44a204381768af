#include "mlxc/stream.h"

#include "mlxnx/error.h"

namespace mlxnx::mlxc {

constinit thread_local ThreadState thread_state;

void throw_no_stream() { throw BackendError("[stream] no stream is open on this thread"); }

}  // namespace mlxnx::mlxc
