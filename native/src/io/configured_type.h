// The type of a model's weights by its settings.
#pragma once

#include <optional>

#include "mlxnx/config.h"
#include "mlxnx/dtype.h"

namespace mlxnx::io {

/// What `torch_dtype` or `dtype` names, of the model or of its part for text; nothing where neither
/// is there, or names another type.
std::optional<DType> configured_type(const Config& config);

}  // namespace mlxnx::io
