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

/// `run`, called until kernels are fused, which the first 16 calls of a program do without.
template <typename Run>
Body warmed(Run run) {
  for (int i = 0; i < 20; ++i) run();
  return run;
}

/// Those of large arrays.
std::vector<Case> kernel_cases();
/// Those of graph programs.
std::vector<Case> program_cases();
/// Those of derivatives.
std::vector<Case> transform_cases();
/// Those of networks.
std::vector<Case> nn_cases();
/// Those of quantized weights.
std::vector<Case> quantized_cases();
/// Those of files.
std::vector<Case> file_cases();

/// All cases.
std::span<const Case> cases();

/// Hands a case, which has to live on, to google-benchmark.
void register_case(const Case& item);

}  // namespace mlxnx::bench
