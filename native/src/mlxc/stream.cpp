#include "mlxc/stream.h"

#include "mlxc/engine.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

constinit thread_local ThreadState thread_state;

void throw_no_stream() { throw BackendError("[stream] no stream is open on this thread"); }

Device current_device() {
  if (!is_available(Device::kGpu)) return Device::kCpu;
  const mlx_stream cpu = Engine::current().stream(Device::kCpu);
  return current_stream().ctx == cpu.ctx ? Device::kCpu : Device::kGpu;
}

}  // namespace mlxnx::mlxc
