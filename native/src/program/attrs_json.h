// Attributes as JSON: in program files, and in recorded calls of Nx. Floats that are not finite are
// "nan", "infinity" and "neg_infinity", complex numbers {"re", "im"}, types their Nx names, a start
// that an operand holds {"operand": i}.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "ops/attrs.h"

namespace mlxnx::program {

/// `values`, an object, as attributes of an op with `schema`. Names outside the schema are kept,
/// for the op to refuse. Throws: FormatError for a value that is not of its attribute's kind.
ops::Attrs attrs_from_json(const nlohmann::json& values, std::span<const ops::AttrDef> schema);

/// The same for a recorded call. The attributes `type` and `shape`, where the schema has them and
/// `values` does not, come from `output`: Nx passes them as the type of the wanted tensor.
ops::Attrs attrs_from_json(const nlohmann::json& values, std::span<const ops::AttrDef> schema,
                           const TensorType& output);

/// The other way round. Throws: ArgumentError for a function, which is no value.
nlohmann::json attrs_to_json(const ops::Attrs& attrs);

}  // namespace mlxnx::program
