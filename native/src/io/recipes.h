// Which bits mlx-lm's mixed recipes give to a layer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/quantize.h"

namespace mlxnx::io {

/// The form of a layer by its dotted name, for a model of `layers` layers that has layers of these
/// names. Throws: ArgumentError for an unknown recipe, one that is not affine, and a model without
/// layers called `down_proj`. mlx-lm: mixed_quant_predicate_builder
std::function<Quantization(std::string_view name)> recipe(const std::string& recipe,
                                                          const Quantization& form,
                                                          std::int64_t layers,
                                                          const std::vector<std::string>& names);

}  // namespace mlxnx::io
