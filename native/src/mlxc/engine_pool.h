// Engines that serve as queues. MLX starts a thread for each stream that is used and never ends it
// (MLX 0.31, scheduler.h), so an engine whose owners are gone waits here for the next one.
#pragma once

#include <chrono>
#include <memory>

#include "mlxc/engine.h"

namespace mlxnx::mlxc {

/// An engine of the caller's own, new or used before. It comes back when its last owner, among them
/// the tensors built under it, lets it go; whatever it is computing then goes on.
/// Throws: BackendError when a new one can't start.
std::shared_ptr<Engine> lend_engine();

/// Stops the process's own engine and all that were lent, and waits for what they compute for at
/// most `patience`. Call it before the process exits while other threads evaluate: exit handlers
/// come too late, MLX's own run before those of the engines.
void stop_engines(std::chrono::milliseconds patience = std::chrono::seconds(5));

}  // namespace mlxnx::mlxc
