#include "mlxc/kernel_compiler.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
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

// A file is made, since the mode bits of a folder tell nothing about a full or read-only disk.
bool can_write_into(const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::path(folder) / "cpu", error);
  std::string name = (fs::path(folder) / "cpu" / ".probe-XXXXXX").string();
  const int file = ::mkstemp(name.data());
  if (file < 0) return false;
  ::close(file);
  ::unlink(name.c_str());
  return true;
}

void stop_ignoring_children() {
  struct sigaction action {};
  if (sigaction(SIGCHLD, nullptr, &action) != 0) return;
  const bool loses_status = action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0;
  if (loses_status) std::signal(SIGCHLD, SIG_DFL);
}

// As MLX does it: through a shell, and with the exit status of the compiler.
bool compiler_answers() {
  FILE* pipe = ::popen("g++ --version > /dev/null 2>&1", "r");
  if (pipe == nullptr) return false;
  const int status = ::pclose(pipe);
  return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string probe() {
  const KernelCompiler found = find_kernel_compiler();
  if (found.path.empty()) return "there is no g++ on the PATH";
  if (found.cache_folder.empty()) return "there is no folder for temporary files";
  if (!can_write_into(found.cache_folder))
    return "MLX's folder for kernels, " + found.cache_folder + ", can't be written";
  stop_ignoring_children();
  if (!compiler_answers()) return "running " + found.path + " fails";
  return {};
}

// Whether it makes a library in MLX's folder, be it an empty one.
bool compiler_works() {
  std::string library = find_kernel_compiler().cache_folder + "/cpu/.probe-XXXXXX";
  const int file = ::mkstemp(library.data());
  if (file < 0) return false;
  ::close(file);
  const std::string command = "echo 'int probe;' | g++ -x c++ -std=c++17 -fPIC -shared -o '" +
                              library + "' - > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  ::unlink(library.c_str());
  return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::atomic<bool> fusing_failed{false};

void stop_fusing(const std::string& reason) {
  if (!fusing_failed.exchange(true))
    std::fprintf(stderr, "mlxnx: compiled programs run unfused: %s\n", reason.c_str());
}

}  // namespace

void note_failed_kernel(const std::string& reason) {
  if (default_device() == Device::kCpu && !compiler_works()) {
    stop_fusing(reason);
    return;
  }
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  std::fprintf(stderr, "mlxnx: a compiled program runs unfused (others are not told of): %s\n",
               reason.substr(0, reason.find('\n')).c_str());
}

bool can_fuse() {
  if (default_device() == Device::kCpu) {
    static const bool probed = [] {
      const std::string reason = probe();
      if (!reason.empty()) stop_fusing(reason);
      return true;
    }();
    static_cast<void>(probed);
  }
  return !fusing_failed.load(std::memory_order_relaxed);
}

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
