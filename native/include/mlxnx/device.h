// Devices, the default device, and the memory that tensors hold.
// Safe to call from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlxnx {

/// Where an op runs. MLX's name for each is "cpu" and "gpu".
enum class Device { kCpu, kGpu };

/// "cpu" or "gpu".
std::string_view name(Device device);

/// The device called `text`.
/// Throws: ArgumentError for anything but "cpu" and "gpu".
Device device_from_name(std::string_view text);

/// Whether this build of MLX and this machine have `device`.
bool is_available(Device device);

/// The device that new ops run on: `gpu` where there is one, else `cpu`, until
/// `set_default_device`. MLX: mlx.core.default_device.
Device default_device();

/// Makes `device` the one that new ops run on; tensors that exist stay usable, without a copy where
/// memory is unified. Throws: UnsupportedError when this machine has no such device. MLX:
/// mlx.core.set_default_device.
///
///     set_default_device(Device::kCpu);
///     Tensor t = add(tensor({1.0, 2.0}), tensor({3.0, 4.0}));  // runs on the CPU
void set_default_device(Device device);

/// Makes `device` the default on this thread until the scope ends, whatever `set_default_device`
/// says. Throws: UnsupportedError when this machine has no such device. MLX: `with
/// mlx.core.stream(device)`.
///
///     const DeviceScope on_cpu(Device::kCpu);
///     Tensor t = add(tensor({1.0, 2.0}), tensor({3.0, 4.0}));  // runs on the CPU
class DeviceScope {
 public:
  explicit DeviceScope(Device device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::optional<Device> outer_;
};

/// What becomes of an op on f64 where the device is a GPU: none has that type.
enum class F64OnGpu {
  kCpu,    ///< it runs on the CPU, which is said once on stderr
  kRaise,  ///< UnsupportedError
};

/// The setting in force: `kCpu`, unless `MLXNX_F64_ON_GPU=raise` or `set_f64_on_gpu` says
/// otherwise. Throws: ArgumentError when the environment variable is neither "cpu" nor "raise".
F64OnGpu f64_on_gpu();

/// Sets what becomes of ops on f64 where the device is a GPU. Where there is none it changes
/// nothing.
///
///     set_f64_on_gpu(F64OnGpu::kRaise);
///     Tensor t = iota(Shape{4}, std::nullopt, DType::f64);  // throws on a GPU
void set_f64_on_gpu(F64OnGpu setting);

/// How many ops have been sent from a GPU to the CPU because of f64. Those of a compiled program
/// count when it is traced.
std::uint64_t f64_ops_on_cpu();

/// Bytes of device memory, as MLX's allocator counts them.
struct MemoryInfo {
  std::size_t active_bytes = 0;  ///< held by live tensors
  std::size_t peak_bytes = 0;    ///< highest `active_bytes` since start or `reset_peak_memory`
  std::size_t cache_bytes = 0;   ///< freed by tensors, kept for the next ones
  std::size_t limit_bytes = 0;   ///< where allocation starts to wait and reclaim
};

/// What MLX's allocator holds now.
MemoryInfo memory_info();

/// Sets `peak_bytes` back to the present figure.
void reset_peak_memory();

/// Gives the cache, and what malloc keeps, back to the system.
void clear_cache();

/// Bounds the cache to `bytes`; the start value is 1 GiB or `MLXNX_CACHE_LIMIT` (bytes).
/// Returns: the limit before; 0 where MLX keeps no cache, as 0.31 on the CPU. There glibc's malloc
/// is told at the start to keep as much, up to 256 MiB.
std::size_t set_cache_limit(std::size_t bytes);

/// Sets the allocator's limit to `bytes`. A single tensor that exceeds it is refused with a
/// BackendError when it is built; together, tensors may exceed it where the system has the memory.
/// Returns: the limit before.
std::size_t set_memory_limit(std::size_t bytes);

/// The version of MLX in use, such as "0.31.2".
std::string mlx_version();

/// Where the mlx-c functions come from: "system", "fetch" or "bundled".
std::string_view mlxc_provider();

}  // namespace mlxnx
