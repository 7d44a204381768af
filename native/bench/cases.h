// What is measured: each case under the name that bench/compare.py gives its counterparts in other
// systems.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx::bench {

struct Case {
  std::string name;
  /// Makes the inputs and answers what is timed, one call a measurement.
  std::function<std::function<void()>()> prepare;
};

using Body = std::function<void()>;

/// sin(0), sin(1), …: the same numbers in every system, without a shared random generator.
Tensor waves(const Shape& shape, DType type = DType::f32);

/// Those of graph programs.
std::vector<Case> program_cases();
/// Those of derivatives.
std::vector<Case> transform_cases();

/// All cases.
std::span<const Case> cases();

/// Hands all cases to google-benchmark.
void register_cases();

}  // namespace mlxnx::bench
