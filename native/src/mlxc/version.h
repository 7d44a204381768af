// What depends on the version of MLX in use.
#pragma once

namespace mlxnx::mlxc {

/// Whether the MLX in use is older than `major`.`minor`.`patch`.
bool mlx_is_older_than(int major, int minor, int patch = 0);

}  // namespace mlxnx::mlxc
