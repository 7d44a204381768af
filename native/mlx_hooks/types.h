// MLX's types under mlx-c's names.
#pragma once

#include "mlx/c/array.h"
#include "mlx/dtype.h"

namespace mlx_hooks {

mlx::core::Dtype core_type(mlx_dtype type);
mlx_dtype c_type(mlx::core::Dtype type);

}  // namespace mlx_hooks
