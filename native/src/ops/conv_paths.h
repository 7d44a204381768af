// The two ways to compute a convolution.
#pragma once

#include "mlxc/array.h"
#include "ops/conv_geometry.h"

namespace mlxnx::ops {

/// Matrix products of the kernel with the patches of the input that it meets. Any geometry and any
/// type that `matmul` takes; no operand may be empty. The result has `type`.
mlxc::Array convolve_patches(const ConvGeometry& geometry, const mlxc::Array& input,
                             const mlxc::Array& kernel, DType type);

/// Whether MLX's own convolution takes this geometry and type. On the CPU it is no quicker than
/// patches at its best, and walks element by element with dilations or groups; on a GPU it is
/// better.
bool is_native_convolution(const ConvGeometry& geometry, DType type);

/// MLX's own convolution. The result has `type`.
mlxc::Array convolve_natively(const ConvGeometry& geometry, const mlxc::Array& input,
                              const mlxc::Array& kernel, DType type);

}  // namespace mlxnx::ops
