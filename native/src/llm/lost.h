// Answers that are NaN.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "mlxnx/dtype.h"
#include "mlxnx/error.h"

namespace mlxnx::llm {

/// Throws: ArithmeticError, which says why a model may answer NaN; `where` says of what, `type` is
/// that of its numbers.
[[noreturn]] inline void refuse_nan(std::string_view function, std::string_view where, DType type) {
  throw ArithmeticError(std::string(function),
                        fmt::format("the model answers NaN {}: its weights are damaged, or its "
                                    "numbers grow beyond what {} holds (bf16 and f32 hold more "
                                    "than f16)",
                                    where, name(type)));
}

}  // namespace mlxnx::llm
