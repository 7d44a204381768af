#include "mlxc/kernel_compiler.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "mlxnx/device.h"

namespace mlxnx::mlxc {
namespace {

namespace fs = std::filesystem;

// MLX 0.31 starts `g++` by that name (backend/cpu/jit_compiler.cpp).
std::string find_on_path(const char* program) {
  const char* folders = std::getenv("PATH");
  std::istringstream list(folders != nullptr ? folders : "");
  for (std::string folder; std::getline(list, folder, ':');) {
    const fs::path candidate = fs::path(folder) / program;
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored) && ::access(candidate.c_str(), X_OK) == 0)
      return candidate.string();
  }
  return {};
}

// Of a folder that does not exist yet: whether it could be made.
bool is_writable(fs::path folder) {
  std::error_code ignored;
  while (!folder.empty() && !fs::exists(folder, ignored) && folder != folder.parent_path())
    folder = folder.parent_path();
  return ::access(folder.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

KernelCompiler find_kernel_compiler() {
  KernelCompiler found;
  found.path = find_on_path("g++");
  std::error_code error;
  const fs::path folder = fs::temp_directory_path(error) / "mlx" / mlx_version();
  if (error) return found;
  found.cache_folder = folder.string();
  found.is_cache_writable = is_writable(folder);
  return found;
}

}  // namespace mlxnx::mlxc
