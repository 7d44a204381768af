// Masks as operands and options of rows.
#pragma once

#include <cstddef>
#include <string_view>

#include "mlxnx/nn/attention.h"
#include "nn/function.h"

namespace mlxnx::nn {

/// The mask that is operand `i`, unless the option `name` says "causal" in its place.
AttentionMask mask_of(const FunctionCall& call, std::size_t i, std::string_view name);

}  // namespace mlxnx::nn
