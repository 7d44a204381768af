// The array of MLX's that one of ours names.
#pragma once

#include "mlx/array.h"
#include "mlxc/array.h"

namespace mlxnx::mlxc {

inline const mlx::core::array& node_of(const Array& array) {
  return *static_cast<const mlx::core::array*>(array.raw().ctx);
}

}  // namespace mlxnx::mlxc
