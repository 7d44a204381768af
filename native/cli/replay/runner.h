// Runs one golden call through the op registry, or a golden program, and judges the answer.
#pragma once

#include <string>
#include <vector>

#include "replay/golden_data.h"
#include "replay/layout.h"

namespace mlxnx::cli {

struct RunOptions {
  /// Whether an output type that differs from the one Nx asked for counts as a failure. Otherwise
  /// the output is cast, as Nx expects of a backend.
  bool check_types = false;
  /// Whether each call becomes a program of one instruction, which is written, read and run.
  bool as_program = false;
  /// Whether programs are fused.
  bool fuse = false;
  /// How the operands, and the answers of runtime calls, lie in memory.
  Layout layout = Layout::kRow;
};

struct Outcome {
  bool passed = false;
  std::string fault;                            ///< why it failed
  std::vector<TensorType> types;                ///< of the outputs, as far as they were computed
  std::vector<std::vector<std::byte>> outputs;  ///< their elements
};

/// The outcome of `golden`; every exception becomes a failure.
Outcome run(const GoldenCase& golden, const RunOptions& options);

}  // namespace mlxnx::cli
