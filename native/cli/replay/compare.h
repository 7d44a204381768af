// Comparison of tensors with what Nx answered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replay/golden_data.h"

namespace mlxnx::cli {

/// The largest absolute or relative difference that counts as equal; 0 for integers.
double tolerance(DType type);

/// Null when every element of `got` equals the one of `expected`, else the first difference and how
/// many there are. Integers must be the same, floats lie within `tolerance`; NaN equals NaN, and
/// infinities have a sign. Both have the same type.
std::optional<std::string> difference(const GoldenTensor& expected, const GoldenTensor& got);

/// The same with a tolerance that is given.
std::optional<std::string> difference(const GoldenTensor& expected, const GoldenTensor& got,
                                      double tolerance);

/// The elements of `tensor` on one line, at most `limit` of them.
std::string elements_text(const GoldenTensor& tensor, std::size_t limit);

}  // namespace mlxnx::cli
