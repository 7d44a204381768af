// What a model or a file of tensors holds, as a table or as JSON.
#pragma once

#include <string>

#include "mlxnx/checkpoint.h"

namespace mlxnx::cli {

/// A summary, and a line for each tensor.
std::string to_table(const Checkpoint& checkpoint);

/// An object: path, format, model_type, parameters, bytes, bits_per_weight, types, quantization,
/// unclear_layers, tensors.
std::string to_json(const Checkpoint& checkpoint);

}  // namespace mlxnx::cli
