// Devices, memory figures and versions.
#include "mlxnx/device.h"

#include <string>

#include "nif/function.h"
#include "nif/functions.h"

namespace mlxnx::nif {
namespace {

Device get_default_device(ErlNifEnv*) { return default_device(); }
void put_default_device(ErlNifEnv*, Device device) { set_default_device(device); }

std::vector<Device> available_devices(ErlNifEnv*) {
  std::vector<Device> devices;
  for (const Device device : {Device::kCpu, Device::kGpu}) {
    if (is_available(device)) devices.push_back(device);
  }
  return devices;
}

Term memory(ErlNifEnv* env) {
  const MemoryInfo info = memory_info();
  Term keys[] = {atoms.active_bytes, atoms.peak_bytes, atoms.cache_bytes, atoms.limit_bytes};
  Term values[] = {enif_make_uint64(env, info.active_bytes), enif_make_uint64(env, info.peak_bytes),
                   enif_make_uint64(env, info.cache_bytes),
                   enif_make_uint64(env, info.limit_bytes)};
  Term map;
  enif_make_map_from_arrays(env, keys, values, std::size(keys), &map);
  return map;
}

void reset_peak(ErlNifEnv*) { reset_peak_memory(); }
void clear(ErlNifEnv*) { clear_cache(); }
Bytes cache_limit(ErlNifEnv*, Bytes limit) { return {set_cache_limit(limit.count)}; }
Bytes memory_limit(ErlNifEnv*, Bytes limit) { return {set_memory_limit(limit.count)}; }
void put_f64_on_gpu(ErlNifEnv*, F64OnGpu setting) { set_f64_on_gpu(setting); }
std::string version(ErlNifEnv*) { return mlx_version(); }
std::string provider(ErlNifEnv*) { return std::string(mlxc_provider()); }

}  // namespace

std::span<const ErlNifFunc> device_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"default_device", &get_default_device>(),
      nif_function<"set_default_device", &put_default_device>(),
      nif_function<"available_devices", &available_devices>(),
      nif_function<"set_f64_on_gpu", &put_f64_on_gpu>(),
      nif_function<"memory", &memory>(),
      nif_function<"reset_peak_memory", &reset_peak>(),
      nif_function<"clear_cache", &clear, NeverQuick{}>(),
      nif_function<"set_cache_limit", &cache_limit, NeverQuick{}>(),
      nif_function<"set_memory_limit", &memory_limit>(),
      nif_function<"mlx_version", &version>(),
      nif_function<"mlxc_provider", &provider>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
