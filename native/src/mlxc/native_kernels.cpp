// MLX 0.31 compiles a kernel by `g++ -std=c++17 -O3 … SOURCE -o LIBRARY`, by that name. A script of
// the same name, first on the PATH, adds flags and changes loops, which makes the kernel several
// times faster, and compiles the 46,000 lines that stand before each kernel only once.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "mlxc/ending.h"
#include "mlxc/kernel_compiler.h"
#include "mlxc/kernel_loops.h"
#include "mlxnx/device.h"

namespace mlxnx::mlxc {
namespace {

namespace fs = std::filesystem;

// Contraction would break what evaluators compute with exact roundings. The declarations let GCC
// vectorise calls of glibc's functions, which are exact to four units in the last place; functions
// whose results are often rounded to integers (pow, log2) are left alone, and so is f64.
constexpr const char* kFlags = "-march=native -ffp-contract=off -fno-math-errno -fno-trapping-math";
constexpr const char* kVectorMath = R"(extern "C" {
#define MLXNX_VECTOR(f) __attribute__((simd("notinbranch"))) float f(float) noexcept;
MLXNX_VECTOR(acosf) MLXNX_VECTOR(acoshf) MLXNX_VECTOR(asinf) MLXNX_VECTOR(asinhf)
MLXNX_VECTOR(atanf) MLXNX_VECTOR(atanhf) MLXNX_VECTOR(cosf) MLXNX_VECTOR(coshf)
MLXNX_VECTOR(erfcf) MLXNX_VECTOR(erff) MLXNX_VECTOR(expf) MLXNX_VECTOR(expm1f)
MLXNX_VECTOR(log1pf) MLXNX_VECTOR(logf) MLXNX_VECTOR(sinf) MLXNX_VECTOR(sinhf)
MLXNX_VECTOR(tanf) MLXNX_VECTOR(tanhf)
#undef MLXNX_VECTOR
}
)";

// `@COMPILER@` and `@FOLDER@` are filled in. Whatever goes wrong, the kernel is built as MLX asked.
constexpr const char* kScript = R"sh(#!/bin/sh
compiler='@COMPILER@'
folder='@FOLDER@'
flags='@FLAGS@ -w'
preamble="$folder/preamble.h"

source= library=
for argument in "$@"; do
  case $argument in
    *.cpp) source=$argument ;;
    *.so) library=$argument ;;
  esac
done
[ -n "$source" ] && [ -n "$library" ] || exec "$compiler" "$@"

# What is left are flags that the preamble is compiled with as well.
count=$#
while [ "$count" -gt 0 ]; do
  case $1 in
    -o | -shared | "$source" | "$library") ;;
    *) set -- "$@" "$1" ;;
  esac
  shift
  count=$((count - 1))
done

kernel_file="$folder/kernel.$$.cpp"
kernel='/^using namespace mlx::core;$/'
make_preamble() {
  fresh="$folder/preamble.$$"
  { cat "$folder/vector_math.h" && sed "$kernel,\$d" "$source" && cat "$folder/functions.h"; } \
    > "$fresh.h" &&
    "$compiler" "$@" $flags -x c++-header "$fresh.h" -o "$fresh.gch" &&
    mv "$fresh.h" "$preamble" && mv "$fresh.gch" "$preamble.gch"
}
build() {
  [ -f "$preamble.gch" ] || make_preamble "$@" || return 1
  sed -n "$kernel,\$p" "$source" | awk -f "$folder/loops.awk" > "$kernel_file" &&
    [ -s "$kernel_file" ] &&
    "$compiler" "$@" $flags -shared -include "$preamble" "$kernel_file" -o "$library"
}
build "$@" > /dev/null 2>&1
status=$?
rm -f "$kernel_file" "$folder/preamble.$$.h" "$folder/preamble.$$.gch"
[ "$status" -eq 0 ] || exec "$compiler" "$@" -shared "$source" -o "$library"
)sh";

std::string script(const std::string& compiler, const std::string& folder) {
  std::string text = kScript;
  const std::pair<const char*, const std::string> values[] = {
      {"@COMPILER@", compiler}, {"@FOLDER@", folder}, {"@FLAGS@", kFlags}};
  for (const auto& [name, value] : values)
    text.replace(text.find(name), std::char_traits<char>::length(name), value);
  return text;
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

void restore(const char* name, const std::optional<std::string>& value) {
  if (value) {
    ::setenv(name, value->c_str(), 1);
  } else {
    ::unsetenv(name);
  }
}

// A folder of the user's own: one that others may write to could hold others' kernels.
fs::path cache_root() {
  if (const auto folder = variable("MLXNX_KERNEL_CACHE")) return *folder;
  if (const auto folder = variable("XDG_CACHE_HOME")) return fs::path(*folder) / "mlxnx";
  if (const auto folder = variable("HOME")) return fs::path(*folder) / ".cache" / "mlxnx";
  return {};
}

// What the kernels depend on besides their source.
std::string cpu_key(const std::string& compiler) {
  std::ifstream info("/proc/cpuinfo");
  std::string text =
      compiler + mlx_version() + kFlags + kVectorMath + kScript + kKernelFunctions + kKernelLoops;
  for (std::string line; std::getline(info, line) && !line.empty();) {
    if (line.starts_with("model name") || line.starts_with("flags")) text += line;
  }
  std::error_code ignored;
  text += std::to_string(
      fs::last_write_time(fs::canonical(compiler, ignored), ignored).time_since_epoch().count());
  std::ostringstream key;
  key << std::hex << std::hash<std::string>()(text);
  return key.str();
}

bool write_file(const fs::path& path, const std::string& text) {
  const fs::path fresh = path.string() + "." + std::to_string(::getpid());
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  std::error_code error;
  fs::permissions(fresh, fs::perms::owner_all, error);
  if (file) fs::rename(fresh, path, error);
  return file && !error;
}

// The folder with the script, made once per process; empty where there can be none.
std::string make_folder() {
#if defined(__linux__) && defined(__GLIBC__)
  const KernelCompiler found = find_kernel_compiler();
  const fs::path root = cache_root();
  if (found.path.empty() || root.empty()) return {};
  const fs::path folder = root / ("kernels-" + cpu_key(found.path));
  std::error_code error;
  fs::create_directories(folder / "bin", error);
  if (error) return {};
  fs::permissions(folder, fs::perms::owner_all, error);
  const bool quotable = (found.path + folder.string()).find('\'') == std::string::npos;
  if (!quotable || !write_file(folder / "vector_math.h", kVectorMath) ||
      !write_file(folder / "functions.h", kKernelFunctions) ||
      !write_file(folder / "loops.awk", kKernelLoops) ||
      !write_file(folder / "bin" / "g++", script(found.path, folder.string())))
    return {};
  return folder.string();
#else
  return {};
#endif
}

std::mutex& environment_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

NativeKernelScope::NativeKernelScope() {
  if (default_device() != Device::kCpu) return;
  static const std::string folder = make_folder();
  if (folder.empty()) return;
  lock_ = std::unique_lock(environment_mutex());
  path_ = variable("PATH");
  folder_ = variable("TMPDIR");
  ::setenv("PATH", (folder + "/bin:" + path_.value_or("")).c_str(), 1);
  ::setenv("TMPDIR", folder.c_str(), 1);
  is_active_ = true;
}

NativeKernelScope::~NativeKernelScope() {
  // MLX 0.31 has a table of kernels from now on, which exit would take down.
  static std::once_flag table_is_made;
  std::call_once(table_is_made, watch_for_the_end);
  if (!is_active_) return;
  restore("PATH", path_);
  restore("TMPDIR", folder_);
}

}  // namespace mlxnx::mlxc
