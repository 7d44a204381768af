// Engines that serve as queues. MLX starts a thread for each stream that is used and never ends it
// (MLX 0.31, scheduler.h), so an engine whose owners are gone waits here for the next one.
#pragma once

#include <memory>

#include "mlxc/engine.h"

namespace mlxnx::mlxc {

/// An engine of the caller's own, new or used before. It comes back when its last owner, among them
/// the tensors built under it, lets it go; whatever it is computing then goes on.
/// Throws: BackendError when a new one can't start.
std::shared_ptr<Engine> lend_engine();

}  // namespace mlxnx::mlxc
