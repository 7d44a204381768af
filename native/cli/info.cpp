// mlxnx info: what this build is made of and what this machine gives it.
#include <fmt/format.h>

#include <string>

#include "command.h"
#include "mlxc/blas.h"
#include "mlxc/engine.h"
#include "mlxc/kernel_compiler.h"
#include "mlxnx/device.h"
#include "output.h"

namespace mlxnx::cli {
namespace {

void print_row(const char* label, const std::string& value) {
  print(fmt::format("{:<18} {}\n", label, value));
}

std::string devices_text() {
  std::string text;
  for (const Device device : {Device::kCpu, Device::kGpu}) {
    if (!is_available(device)) continue;
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", name(device),
                        device == default_device() ? " (default)" : "");
  }
  return text;
}

std::string blas_text() {
  const mlxc::BlasInfo blas = mlxc::blas_info();
  std::string text = blas.name;
  if (!blas.accelerated) text += " (slow)";
  if (blas.threads > 0)
    text += fmt::format(", {} thread{}", blas.threads, blas.threads == 1 ? "" : "s");
  if (!blas.config.empty()) text += ", " + blas.config;
  if (!blas.path.empty()) text += "\n" + std::string(19, ' ') + blas.path;
  return text;
}

std::string kernels_text() {
  const mlxc::KernelCompiler compiler = mlxc::find_kernel_compiler();
  if (compiler.is_usable()) return fmt::format("yes, by {}", compiler.path);
  if (compiler.path.empty()) return "no: there is no g++ on PATH";
  return fmt::format("no: {} can't be written", compiler.cache_folder);
}

std::string mebibytes(std::size_t bytes) {
  return fmt::format("{:.0f} MiB", static_cast<double>(bytes) / (1 << 20));
}

// MLX tells the limit only to those who set another. Without a GPU it has no cache and says 0.
std::string cache_text() {
  const std::size_t limit = set_cache_limit(0);
  set_cache_limit(limit);
  return limit == 0 ? "none, nothing is cached on this device" : mebibytes(limit);
}

int info() {
  mlxc::Engine::current();  // applies the start values of the limits
  print_row("mlxnx", MLXNX_VERSION);
  print_row("MLX", mlx_version());
  print_row("mlx-c", std::string(mlxc_provider()));
  print_row("devices", devices_text());
  print_row("BLAS on the CPU", blas_text());
  print_row("fused CPU kernels", kernels_text());
  print_row("cache limit", cache_text());
  print_row("memory limit", mebibytes(memory_info().limit_bytes));
  return 0;
}

}  // namespace

Action add_info(CLI::App& app) {
  app.footer(
      "BLAS on the CPU is chosen by MLXNX_BLAS, the limit of the cache by MLXNX_CACHE_LIMIT.\n"
      "A \"slow\" BLAS is the wheel's own: install the package scipy-openblas32 or OpenBLAS.");
  return info;
}

}  // namespace mlxnx::cli
