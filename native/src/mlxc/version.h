// What depends on the version of MLX in use.
#pragma once

namespace mlxnx::mlxc {

/// Whether the MLX in use is older than `major`.`minor`.
bool mlx_is_older_than(int major, int minor);

}  // namespace mlxnx::mlxc
