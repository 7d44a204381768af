// What is measured: each case under the name that bench/compare.py gives its counterparts in other
// systems.
#pragma once

#include <functional>
#include <span>
#include <string>

namespace mlxnx::bench {

struct Case {
  std::string name;
  /// Makes the inputs and answers what is timed, one call a measurement.
  std::function<std::function<void()>()> prepare;
};

/// All cases.
std::span<const Case> cases();

/// Hands all cases to google-benchmark.
void register_cases();

}  // namespace mlxnx::bench
