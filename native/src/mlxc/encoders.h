#pragma once

namespace mlxnx::mlxc {

/// Whether a CPU stream can be used by any thread, one at a time. Asked first by a thread that has
/// default streams, on which it evaluates a number to see.
bool cpu_streams_serve_any_thread();

}  // namespace mlxnx::mlxc
