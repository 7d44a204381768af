// Whether MLX can build fused kernels on the CPU: it runs a C++ compiler for that, and keeps the
// results in a folder of the system's temporary files. GPUs need neither.
#pragma once

#include <string>

namespace mlxnx::mlxc {

struct KernelCompiler {
  std::string path;          ///< the compiler that a shell would find; empty when there is none
  std::string cache_folder;  ///< where MLX keeps what it compiles
  bool is_cache_writable = false;
  bool is_usable() const { return !path.empty() && is_cache_writable; }
};

/// Looks at the machine; compiles nothing. Any thread.
KernelCompiler find_kernel_compiler();

/// Whether graphs for the current default device can be fused. Looks at the machine once per
/// process and says on stderr why not. Where the process ignores SIGCHLD, as the BEAM does, that
/// signal gets its default handling back: MLX waits for the compiler, and would not learn how it
/// ended.
bool can_fuse();

/// Making a kernel failed: nothing is fused from now on. Says so on stderr.
void stop_fusing(const std::string& reason);

}  // namespace mlxnx::mlxc
