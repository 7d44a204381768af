#pragma once

namespace mlxnx::mlxc {

/// Whether a CPU stream can be used by any thread, one at a time. Known once something was
/// evaluated on one.
bool cpu_streams_serve_any_thread();

}  // namespace mlxnx::mlxc
