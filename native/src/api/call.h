// How the public functions reach the registry: the row is looked up once, at the first call.
#pragma once

#include "ops/invoke.h"
#include "ops/registry.h"

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
