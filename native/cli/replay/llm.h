// Runs the model of a folder and compares with what mlx-lm answered. A kind of case is a row of the
// table in llm.cpp.
#pragma once

#include "replay/golden_data.h"
#include "replay/runner.h"

namespace mlxnx::cli {

/// Throws: what loading and running the model throws.
Outcome run_llm(const GoldenCase& golden);

}  // namespace mlxnx::cli
