// Attention, norms, softmax and rotary positions by kernels of our own (kernel_node.h), as arrays.
// Operands are f32, f16 or bf16 where nothing else is said, and have elements.
#pragma once

#include "mlxc/graph.h"

namespace mlxnx::mlxc {

struct AttentionForm {
  double scale = 1;
  bool causal = false;  ///< there are no fewer keys than queries then
};

/// Values weighted by the softmax of products of queries and keys, as
/// `fast:scaled_dot_product_attention` says. `mask` is MLX's bool or f32, `sinks` f32; both may be
/// empty.
Array attend(const Array& queries, const Array& keys, const Array& values,
             const AttentionForm& form, const Array& mask, const Array& sinks, const Ints& shape,
             DType type);

struct NormForm {
  bool is_centered = false;  ///< whether the mean is subtracted first
  double eps = 0;
};

/// Rows of the last axis; `weight` and `bias` may be empty.
Array normalize_rows(const Array& x, const Array& weight, const Array& bias, const NormForm& form,
                     const Ints& shape, DType type);

/// The softmax of rows of f32, whose `shape` the result has.
Array softmax_rows(const Array& x, const Ints& shape);

/// `offset` is s32, `frequencies` f32, empty where the form has a base.
Array turn_rows(const Array& x, const Array& offset, const Array& frequencies, const RopeForm& form,
                const Ints& shape, DType type);

}  // namespace mlxnx::mlxc
