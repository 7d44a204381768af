// The ways to compute a convolution.
#pragma once

#include "mlxc/array.h"
#include "ops/conv_geometry.h"

namespace mlxnx::ops {

/// Matrix products of the kernel with the patches of the input that it meets. Any geometry and any
/// type that `matmul` takes; no operand may be empty. The result has `type`.
mlxc::Array convolve_patches(const ConvGeometry& geometry, const mlxc::Array& input,
                             const mlxc::Array& kernel, DType type);

/// Whether a kernel of our own, without copies of patches, takes this geometry and type.
bool is_direct_convolution(const ConvGeometry& geometry, DType type);

/// That kernel. No operand may be empty. The result has `type`.
mlxc::Array convolve_directly(const ConvGeometry& geometry, const mlxc::Array& input,
                              const mlxc::Array& kernel, DType type);

/// Whether the input's dilation can do without products with zeros: the gradients of convolutions
/// with strides, and their transposes.
bool has_phases(const ConvGeometry& geometry);

/// One convolution that is not dilated, directly or with patches, in place of a dilated one. The
/// result has `type`; nothing may be empty, and `has_phases`.
mlxc::Array convolve_phases(const ConvGeometry& geometry, const mlxc::Array& input,
                            const mlxc::Array& kernel, DType type);

/// Whether negative padding leaves nothing of the input along some axis.
bool has_no_products(const ConvGeometry& geometry);

/// Whether MLX's own convolution takes this geometry and type. On the CPU it is no quicker than
/// patches at its best, and walks element by element with dilations or groups; on a GPU it is
/// better.
bool is_native_convolution(const ConvGeometry& geometry, DType type);

/// MLX's own convolution. The result has `type`.
mlxc::Array convolve_natively(const ConvGeometry& geometry, const mlxc::Array& input,
                              const mlxc::Array& kernel, DType type);

}  // namespace mlxnx::ops
