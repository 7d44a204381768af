// Devices, memory figures and versions: include/mlxnx/device.h over mlx-c.
#include "mlxc/device.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "mlx/c/memory.h"
#include "mlx/c/string.h"
#include "mlx/c/version.h"
#include "mlxc/check.h"
#include "mlxc/memory.h"
#include "mlxc/stream.h"
#include "mlxc/thread_state.h"
#include "mlxnx/error.h"

#ifndef MLXNX_MLXC_PROVIDER
#define MLXNX_MLXC_PROVIDER "bundled"
#endif

namespace mlxnx {
namespace {

constexpr std::size_t kDefaultCacheLimitBytes = std::size_t{1} << 30;

// MLX's figure, kept here because every graph node is compared with it.
std::atomic<std::size_t> memory_limit_bytes{std::numeric_limits<std::size_t>::max()};

bool pretends_gpu() {
  static const bool is_set = [] {
    const char* const value = std::getenv("MLXNX_PRETEND_GPU");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return is_set;
}

bool query_availability(Device device) {
  mlxc::install_error_handler();
  const mlx_device handle = mlxc::device_of_mlx(device);
  bool available = false;
  const int status = mlx_device_is_available(&available, handle);
  mlx_device_free(handle);
  mlxc::check(status, "mlx_device_is_available");
  return available;
}

std::atomic<Device>& default_slot() {
  static std::atomic<Device> device{is_available(Device::kGpu) ? Device::kGpu : Device::kCpu};
  return device;
}

template <typename Function>
std::size_t figure(Function function, const char* label) {
  mlxc::install_error_handler();
  std::size_t bytes = 0;
  mlxc::check(function(&bytes), label);
  return bytes;
}

}  // namespace

mlx_device mlxc::device_of_mlx(Device device) {
  const bool is_cpu = device == Device::kCpu || pretends_gpu();
  return mlx_device_new_type(is_cpu ? MLX_CPU : MLX_GPU, 0);
}

std::string_view name(Device device) { return device == Device::kCpu ? "cpu" : "gpu"; }

Device device_from_name(std::string_view text) {
  if (text == "cpu") return Device::kCpu;
  if (text == "gpu") return Device::kGpu;
  throw ArgumentError("[device] expected \"cpu\" or \"gpu\", got \"" + std::string(text) + "\"");
}

bool is_available(Device device) {
  static const bool available[2] = {query_availability(Device::kCpu),
                                    query_availability(Device::kGpu)};
  return available[static_cast<std::size_t>(device)];
}

Device default_device() {
  if (const auto& device = mlxc::thread_state.device) return *device;
  return default_slot().load(std::memory_order_relaxed);
}

namespace {
void require_available(Device device, std::string_view op) {
  if (is_available(device)) return;
  throw UnsupportedError("[" + std::string(op) + "] this machine has no device " +
                         std::string(name(device)));
}
}  // namespace

DeviceScope::DeviceScope(Device device) : outer_(mlxc::thread_state.device) {
  require_available(device, "device");
  mlxc::thread_state.device = device;
}

DeviceScope::~DeviceScope() { mlxc::thread_state.device = outer_; }

void set_default_device(Device device) {
  require_available(device, "set_default_device");
  default_slot().store(device, std::memory_order_relaxed);
}

MemoryInfo memory_info() {
  return {.active_bytes = figure(mlx_get_active_memory, "mlx_get_active_memory"),
          .peak_bytes = figure(mlx_get_peak_memory, "mlx_get_peak_memory"),
          .cache_bytes = figure(mlx_get_cache_memory, "mlx_get_cache_memory"),
          .limit_bytes = figure(mlx_get_memory_limit, "mlx_get_memory_limit")};
}

void reset_peak_memory() { mlxc::check(mlx_reset_peak_memory(), "mlx_reset_peak_memory"); }

void clear_cache() {
  mlxc::check(mlx_clear_cache(), "mlx_clear_cache");
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

std::size_t set_cache_limit(std::size_t bytes) {
  return figure([bytes](std::size_t* before) { return mlx_set_cache_limit(before, bytes); },
                "mlx_set_cache_limit");
}

std::size_t set_memory_limit(std::size_t bytes) {
  const std::size_t before =
      figure([bytes](std::size_t* out) { return mlx_set_memory_limit(out, bytes); },
             "mlx_set_memory_limit");
  memory_limit_bytes.store(bytes, std::memory_order_relaxed);
  return before;
}

std::string mlx_version() {
  mlxc::install_error_handler();
  mlx_string text = mlx_string_new();
  const int status = ::mlx_version(&text);
  std::string version = status == 0 ? mlx_string_data(text) : "";
  mlx_string_free(text);
  mlxc::check(status, "mlx_version");
  return version;
}

std::string_view mlxc_provider() { return MLXNX_MLXC_PROVIDER; }

namespace {
// MLX 0.31 keeps no freed memory on the CPU, and glibc gives back whatever is larger than a few
// megabytes, so that each page of the next tensor costs a fault: half the time of a training step.
void keep_freed_memory([[maybe_unused]] std::size_t limit) {
#if defined(__GLIBC__)
  for (const char* own : {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}) {
    if (std::getenv(own) != nullptr) return;
  }
  constexpr std::size_t kLeast = std::size_t{128} << 10;  // glibc's own first thresholds
  constexpr std::size_t kMostKept = std::size_t{256} << 20;
  constexpr std::size_t kMostInHeap = std::size_t{32} << 20;  // glibc takes no more
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::clamp(limit, kLeast, kMostKept)));
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(std::clamp(limit, kLeast, kMostInHeap)));
#endif
}
}  // namespace

void mlxc::apply_memory_defaults() {
  std::size_t limit = kDefaultCacheLimitBytes;
  if (const char* text = std::getenv("MLXNX_CACHE_LIMIT"); text != nullptr) {
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), limit);
    if (error != std::errc() || *end != '\0') {
      throw ArgumentError("[MLXNX_CACHE_LIMIT] expected a number of bytes, got \"" +
                          std::string(text) + "\"");
    }
  }
  set_cache_limit(limit);
  keep_freed_memory(limit);
  memory_limit_bytes.store(memory_info().limit_bytes, std::memory_order_relaxed);
}

namespace {
template <typename Dim>
void require_fits(std::span<const Dim> shape, std::size_t item_bytes) {
  // A double, since the product may not fit 64 bits.
  double bytes = static_cast<double>(item_bytes);
  for (const Dim dim : shape) bytes *= static_cast<double>(dim);
  const std::size_t limit = memory_limit_bytes.load(std::memory_order_relaxed);
  if (bytes <= static_cast<double>(limit)) [[likely]]
    return;
  const char* op = mlxc::thread_state.op;
  throw BackendError("[" + std::string(op != nullptr ? op : "memory") + "] an array of shape " +
                     to_string(Shape(shape.begin(), shape.end())) + " with " +
                     std::to_string(item_bytes) + " bytes an element exceeds the memory limit of " +
                     std::to_string(limit) + " bytes");
}
}  // namespace

void mlxc::check_fits(std::span<const std::int64_t> shape, std::size_t item_bytes) {
  require_fits(shape, item_bytes);
}

void mlxc::check_fits(std::span<const int> shape, std::size_t item_bytes) {
  require_fits(shape, item_bytes);
}

void mlxc::check_countable(const TensorType& type, std::string_view op) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (std::size_t axis = 0; axis < type.shape.size(); ++axis) {
    if (type.shape[axis] <= kMost) [[likely]]
      continue;
    throw UnsupportedError("[" + std::string(op) + "] axis " + std::to_string(axis) + " of " +
                           to_string(type) + " is too long: a dimension can have at most " +
                           std::to_string(kMost) + " elements, since MLX counts in 32 bits");
  }
}

// As MLX does for a real one.
static void refuse_f64_as_a_gpu(const mlxc::Array& array) {
  if (array.mlx_type() != MLX_FLOAT64 || mlxc::current_device() == Device::kCpu) return;
  const char* op = mlxc::thread_state.op;
  throw BackendError("[" + std::string(op != nullptr ? op : "graph") +
                     "] float64 is not supported on the GPU");
}

void mlxc::check_fits(const Array& array) {
  if (pretends_gpu()) [[unlikely]]
    refuse_f64_as_a_gpu(array);
  check_fits(array.shape(), mlx_dtype_size(array.mlx_type()));
}

}  // namespace mlxnx
