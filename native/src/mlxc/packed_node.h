// A node of MLX's graph that one of our kernels for quantized matrices computes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// What a kernel is told besides its operands.
struct PackedTask {
  enum class Kind : std::uint8_t { kProduct, kChosenProduct, kWeights };
  Kind kind = Kind::kProduct;
  std::string mode;
  int group_size = 0, bits = 0;
  bool transpose = true;
  bool operator==(const PackedTask&) const = default;
};

/// An operand or the result as memory, in rows.
struct PackedOperand {
  void* data = nullptr;
  mlx_dtype type = MLX_FLOAT32;
  std::span<const int> shape;
};

/// Runs the kernel: `operands` are x (but for kWeights), words, scales, for affine biases, then the
/// numbers of both sides (kChosenProduct) or a global scale (kWeights, where there is one).
void run(const PackedTask& task, std::span<const PackedOperand> operands,
         const PackedOperand& result);

/// The node; operands that don't lie in rows are copied. Implemented in mlx_hooks.
Array packed_node(const PackedTask& task, std::span<const Array* const> operands,
                  std::span<const int> shape, mlx_dtype type);

}  // namespace mlxnx::mlxc
