// Elements as Nx prints them: the fewest digits that read back as the same element, in decimal or
// scientific notation, whichever is shorter.
#pragma once

#include <cstddef>
#include <string>

#include "mlxnx/dtype.h"

namespace mlxnx::tensors {

/// One element of `type` at `in`: `1`, `1.0`, `1.5e-5`, `NaN`, `-Inf`, `1.0+2.0i`. One digit in
/// scientific notation is `1.0e-5` in f64 and `1e-5` in the other types.
std::string element_text(DType type, const std::byte* in);

}  // namespace mlxnx::tensors
