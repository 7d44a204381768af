// Work on the thread that evaluates.
#pragma once

#include <functional>

namespace mlxnx::tensors {

/// Runs `job`, with the default device of this thread, as one of the current engine's: what it
/// builds and evaluates changes no thread.
/// Throws: what the job throws.
void run_on_engine(const std::function<void()>& job);

}  // namespace mlxnx::tensors
