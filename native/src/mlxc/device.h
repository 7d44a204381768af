// MLX's handles of devices.
//
// With MLXNX_PRETEND_GPU=1 in the environment the CPU plays a GPU as well, by a second stream:
// tests see what goes where, and how what a GPU gets is built, on machines that have none.
#pragma once

#include "mlx/c/device.h"
#include "mlxnx/device.h"

namespace mlxnx::mlxc {

/// The caller frees it.
mlx_device device_of_mlx(Device device);

}  // namespace mlxnx::mlxc
