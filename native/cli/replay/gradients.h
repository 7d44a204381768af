// Compares transforms of golden programs with what was recorded: gradients, second derivatives,
// vmap.
#pragma once

#include "replay/runner.h"

namespace mlxnx::cli {

/// Throws: what transforming and running the program throws.
Outcome run_transform(const GoldenCase& golden, const RunOptions& options);

}  // namespace mlxnx::cli
