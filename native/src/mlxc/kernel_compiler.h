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

}  // namespace mlxnx::mlxc
