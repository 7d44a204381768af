// Convolutions by a kernel of our own (kernel_node.h), as arrays.
#pragma once

#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {

/// Of f32, with elements everywhere. `shape` is the result's.
Array convolve(const ConvolutionTask& task, const Array& input, const Array& kernel,
               const Ints& shape);

}  // namespace mlxnx::mlxc
