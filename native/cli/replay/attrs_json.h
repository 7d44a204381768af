// Attributes of a golden call as the registry takes them.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "ops/attrs.h"

namespace mlxnx::cli {

/// `values`, an object, as the attributes of a call of an op with `schema`. The attributes `type`
/// and `shape`, where the schema has them and `values` does not, come from `output`: Nx passes them
/// as the type of the wanted tensor. Names outside the schema are kept, for the op to refuse.
/// Throws: FormatError for a value that is not of its attribute's kind.
ops::Attrs attrs_from_json(const nlohmann::json& values, std::span<const ops::AttrDef> schema,
                           const TensorType& output);

}  // namespace mlxnx::cli
