// Matrix products of every Nx type: what `dot` and `conv` are made of.
#pragma once

#include "mlxc/array.h"
#include "mlxnx/dtype.h"

namespace mlxnx::ops {

/// `[…, M, K]` times `[…, K, N]`, leading dimensions equal or absent; vectors as in MLX. The
/// operands are cast to `type`, which the result has too unless it is a 16-bit float: then the
/// result may be f32. No dimension may be zero. Integers are exact and wrap.
mlxc::Array matmul(const mlxc::Array& left, const mlxc::Array& right, DType type);

/// `matmul` for integers, whose types may differ. MLX has no integer products; see the source.
mlxc::Array integer_matmul(const mlxc::Array& left, const mlxc::Array& right, DType type);

}  // namespace mlxnx::ops
