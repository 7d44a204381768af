#pragma once

#include "mlx/c/vector.h"

namespace mlxnx::mlxc {

/// After an evaluation of `outputs` failed, on its thread: sees to it that what was evaluated
/// before the failure can be read, and the rest evaluated again. MLX before 0.32.1 leaves the
/// former without a signal that somebody may wait for, which is mended where there is no GPU.
void settle(mlx_vector_array outputs) noexcept;

}  // namespace mlxnx::mlxc
