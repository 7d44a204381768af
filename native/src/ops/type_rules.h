// Nx's type rules as pure functions; see Nx.Type.
#pragma once

#include "mlxnx/dtype.h"
#include "mlxnx/tensor.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// The type that operands of `a` and `b` meet in. Nx: Nx.Type.merge
/// Throws: UnsupportedError where Nx would answer c128.
DType merge(DType a, DType b);

/// The type that a tensor of `type` and a number written beside it meet in: `type` where it can
/// hold the number. Nx: Nx.Type.merge_number Throws: UnsupportedError where Nx would answer c128.
DType merge_number(DType type, const Number& number);

/// Floating or complex types as they are, integers as f32. Nx: Nx.Type.to_floating
DType to_floating(DType type);

/// The floating type that sums and slopes of `type` are computed in: f32 for integers and for
/// floats of 16 bits, any other as it is.
DType to_wide(DType type);

/// c64. Nx: Nx.Type.to_complex
/// Throws: UnsupportedError for f64, which needs c128.
DType to_complex(DType type);

/// The type of a complex number's parts; integers as f32. Nx: Nx.Type.to_real
DType to_real(DType type);

/// Where sums and products accumulate: at least 32-bit integers. Nx: Nx.Type.to_aggregate
DType to_aggregate(DType type);

/// Throws: TypeError where the first operand is complex.
void require_order(const Call& call);

/// Type rules of whole calls, for `infer<…>` in op rows.
namespace types {
DType same(const Call& call);       ///< the first operand's type
DType merged(const Call& call);     ///< the merge of all operands' types
DType floating(const Call& call);   ///< `to_floating` of the merge of all operands
DType predicate(const Call& call);  ///< u8
DType real(const Call& call);       ///< `to_real` of the first operand
DType attribute(const Call& call);  ///< the attribute `type`
}  // namespace types

}  // namespace mlxnx::ops
