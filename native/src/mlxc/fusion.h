// Neighbouring nodes of single elements made one node, whose kernels run tile by tile.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mlxc/array.h"

namespace mlxnx::mlxc {

enum class Fusion : std::uint8_t {
  kNone,
  kByKernels,   ///< by `fused`
  kByCompiler,  ///< by MLX, which on a CPU needs a C++ compiler (kernel_compiler.h)
};

/// How programs for the default device are fused. On a CPU `MLXNX_FUSE` says so: `kernels`, which
/// is what happens without it where there are some, `compiler`, or `0`. Throws: ArgumentError when
/// it holds anything else.
Fusion fusion();

/// The same values, of a graph in which nodes of `elementwise` (elementwise.h) that lie next to
/// each other are one. The graph between `outputs` and `inputs` is nobody else's, and is changed.
/// Implemented in mlx_hooks.
std::vector<Array> fused(std::span<const Array> outputs, std::span<const Array> inputs);

}  // namespace mlxnx::mlxc
