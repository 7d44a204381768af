#include "mlxc/f64_on_gpu.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "mlxnx/device.h"
#include "mlxnx/error.h"

namespace mlxnx {
namespace {

F64OnGpu setting_at_start() {
  const char* text = std::getenv("MLXNX_F64_ON_GPU");
  if (text == nullptr || std::strcmp(text, "cpu") == 0) return F64OnGpu::kCpu;
  if (std::strcmp(text, "raise") == 0) return F64OnGpu::kRaise;
  throw ArgumentError("[MLXNX_F64_ON_GPU] expected \"cpu\" or \"raise\", got \"" +
                      std::string(text) + "\"");
}

std::atomic<F64OnGpu>& slot() {
  static std::atomic<F64OnGpu> setting{setting_at_start()};
  return setting;
}

std::atomic<std::uint64_t> count{0};

}  // namespace

F64OnGpu f64_on_gpu() { return slot().load(std::memory_order_relaxed); }

void set_f64_on_gpu(F64OnGpu setting) { slot().store(setting, std::memory_order_relaxed); }

std::uint64_t f64_ops_on_cpu() { return count.load(std::memory_order_relaxed); }

Device mlxc::device_for(DType type) { return type == DType::f64 ? Device::kCpu : default_device(); }

void mlxc::require_f64(std::string_view op) {
  if (default_device() == Device::kCpu || f64_on_gpu() == F64OnGpu::kCpu) return;
  throw UnsupportedError(
      "[" + std::string(op) +
      "] f64 is not supported on the gpu; use f32 or the cpu device, or let such "
      "ops run on the CPU (MLXNX_F64_ON_GPU=cpu)");
}

void mlxc::note_f64_on_cpu(std::string_view op) {
  require_f64(op);
  if (count.fetch_add(1, std::memory_order_relaxed) > 0) return;
  std::fputs(
      "mlxnx: GPUs have no f64: ops on it run on the CPU (MLXNX_F64_ON_GPU=raise makes them "
      "errors)\n",
      stderr);
}

}  // namespace mlxnx
