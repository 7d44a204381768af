// How the public functions reach the registry: the row is looked up once, at the first call.
#pragma once

#include <optional>

#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "ops/type_rules.h"

// Defines `Tensor function(const Tensor& tensor)` for a row of the same name.
#define MLXNX_UNARY_FUNCTION(function)                 \
  Tensor function(const Tensor& tensor) {              \
    static const ops::OpDef& row = ops::op(#function); \
    return ops::invoke(row, {tensor});                 \
  }

// Defines `Tensor function(const Tensor& left, const Tensor& right)` for a row of the same name.
#define MLXNX_BINARY_FUNCTION(function)                      \
  Tensor function(const Tensor& left, const Tensor& right) { \
    static const ops::OpDef& row = ops::op(#function);       \
    return ops::invoke(row, {left, right});                  \
  }

namespace mlxnx {

inline ops::Attrs axes_attrs(const std::optional<Axes>& axes) {
  ops::Attrs attrs;
  if (axes) attrs.set("axes", *axes);
  return attrs;
}

/// In the type that sums and slopes are computed in.
inline Tensor as_wide(const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); }

}  // namespace mlxnx
