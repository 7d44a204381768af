// C++ functions on tensors as the function attribute of an op.
#pragma once

#include <memory>

#include "mlxnx/ops/reduction.h"
#include "ops/attrs.h"

namespace mlxnx::api {

/// `function` over arrays.
/// Throws: ArgumentError for an empty function.
std::shared_ptr<const ops::Function> on_arrays(const Reducer& function);

}  // namespace mlxnx::api
