#include "mlxc/stream.h"

#include "mlx/c/device.h"
#include "mlxc/check.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

constinit thread_local ThreadState thread_state;

void throw_no_stream() { throw BackendError("[stream] no stream is open on this thread"); }

Device current_device() {
  if (!is_available(Device::kGpu)) return Device::kCpu;
  if (thread_state.stream_device) return *thread_state.stream_device;
  mlx_device device{nullptr};
  check(mlx_stream_get_device(&device, current_stream()), "mlx_stream_get_device");
  mlx_device_type type = MLX_CPU;
  const int status = mlx_device_get_type(&type, device);
  mlx_device_free(device);
  check(status, "mlx_device_get_type");
  thread_state.stream_device = type == MLX_CPU ? Device::kCpu : Device::kGpu;
  return *thread_state.stream_device;
}

}  // namespace mlxnx::mlxc
