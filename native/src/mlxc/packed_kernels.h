// Quantized matrices by kernels of our own (kernel_node.h), as arrays. Weights may be of any size
// to be computed with at once, since they are only read; the left operand has to be small.
#pragma once

#include "mlxc/graph.h"

namespace mlxnx::mlxc {

/// Whether kernels know scales of this form as they are: affine ones of f32, f16 or bf16, with
/// biases of the same type, and all others.
bool takes_scales(const PackedMatrices& w);

/// Numbers of matrices of both sides, of u32 in rows; nothing checks them.
struct ChosenMatrices {
  const Array& left;
  const Array& right;
};

/// Rows of x, which are f32, f16 or bf16, times the matrix `w`; for each pair that `chosen` names,
/// if it is not null. Sums are f32. `shape` is that of the result, which has elements, `type` f32,
/// f16 or bf16.
Array packed_product(const Array& x, const PackedMatrices& w, const PackedForm& form,
                     bool transpose, const ChosenMatrices* chosen, const Ints& shape, DType type);

/// The weights that `w` stands for; `global_scale`, a scalar of f32, may be null.
Array packed_weights(const PackedMatrices& w, const PackedForm& form, const Array* global_scale,
                     const Ints& shape, DType type);

}  // namespace mlxnx::mlxc
