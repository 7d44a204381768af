// Whether MLX can build fused kernels on the CPU: it runs a C++ compiler for that, and keeps the
// results in a folder of the system's temporary files. GPUs need neither.
#pragma once

#include <mutex>
#include <optional>
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

/// While it lives, MLX compiles kernels for this very CPU and with vectors of elementary functions,
/// into a folder of their own: MLX's cache knows neither flags nor CPUs. It does so by changing
/// PATH and TMPDIR, so it should live no longer than the evaluation that makes the kernels. Does
/// nothing on a GPU or where that folder can't be made.
class NativeKernelScope {
 public:
  NativeKernelScope();
  ~NativeKernelScope();
  NativeKernelScope(const NativeKernelScope&) = delete;
  NativeKernelScope& operator=(const NativeKernelScope&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  std::optional<std::string> path_;  // as they were; unset variables stay empty
  std::optional<std::string> folder_;
  bool is_active_ = false;
};

/// Making a kernel of one program failed, which costs that program its fusion; says so on stderr
/// for the first such program. Where the compiler makes no library at all, nothing is fused from
/// now on.
void note_failed_kernel(const std::string& reason);

}  // namespace mlxnx::mlxc
