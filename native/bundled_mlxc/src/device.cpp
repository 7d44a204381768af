#include "mlx/c/device.h"

#include <sstream>

#include "convert.h"
#include "mlx/utils.h"

namespace bundled_mlxc {
namespace {

constexpr int kNoSuchEntry = 2;

const DeviceInfo::mapped_type* find(mlx_device_info info, const char* key) {
  const auto entry = get(info).find(to_cpp(key));
  return entry != get(info).end() ? &entry->second : nullptr;
}

// Hands `use` the entry if it is there and holds a T.
template <typename T, typename Use>
int with_entry(mlx_device_info info, const char* key, Use&& use) {
  const auto* const entry = find(info, key);
  const T* const value = entry != nullptr ? std::get_if<T>(entry) : nullptr;
  if (value == nullptr) return kNoSuchEntry;
  use(*value);
  return 0;
}

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

MLXC_DEFINE_NEW_EMPTY(mlx_device)
MLXC_DEFINE_FREE(mlx_device)
MLXC_DEFINE_SET(mlx_device)

mlx_device mlx_device_new_type(mlx_device_type type, int index) {
  return create<mlx_device>([&] { return core::Device(to_cpp(type), index); });
}
int mlx_device_tostring(mlx_string* str, mlx_device dev) {
  return fill(str, [&] {
    std::ostringstream text;
    text << get(dev);
    return text.str();
  });
}
bool mlx_device_equal(mlx_device lhs, mlx_device rhs) {
  return guard_or(false, [&] { return get(lhs) == get(rhs); });
}
int mlx_device_get_index(int* index, mlx_device dev) {
  return store(index, [&] { return get(dev).index; });
}
int mlx_device_get_type(mlx_device_type* type, mlx_device dev) {
  return store(type, [&] { return to_c(get(dev).type); });
}
int mlx_get_default_device(mlx_device* dev) {
  return fill(dev, [] { return core::default_device(); });
}
int mlx_set_default_device(mlx_device dev) {
  return guard([&] { core::set_default_device(get(dev)); });
}
int mlx_device_is_available(bool* avail, mlx_device dev) {
  return store(avail, [&] { return core::is_available(get(dev)); });
}
int mlx_device_count(int* count, mlx_device_type type) {
  return store(count, [&] { return core::device_count(to_cpp(type)); });
}

MLXC_DEFINE_NEW_EMPTY(mlx_device_info)
MLXC_DEFINE_FREE(mlx_device_info)

int mlx_device_info_get(mlx_device_info* info, mlx_device dev) {
  return fill(info, [&] { return core::device_info(get(dev)); });
}
int mlx_device_info_has_key(bool* exists, mlx_device_info info, const char* key) {
  return store(exists, [&] { return find(info, key) != nullptr; });
}
int mlx_device_info_is_string(bool* is_string, mlx_device_info info, const char* key) {
  return guard_or(1, [&] {
    const auto* const entry = find(info, key);
    if (entry == nullptr) return kNoSuchEntry;
    target(is_string) = std::holds_alternative<std::string>(*entry);
    return 0;
  });
}
int mlx_device_info_get_string(const char** value, mlx_device_info info, const char* key) {
  return guard_or(1, [&] {
    return with_entry<std::string>(info, key,
                                   [&](const std::string& text) { target(value) = text.c_str(); });
  });
}
int mlx_device_info_get_size(size_t* value, mlx_device_info info, const char* key) {
  return guard_or(1, [&] {
    return with_entry<std::size_t>(info, key, [&](std::size_t size) { target(value) = size; });
  });
}
int mlx_device_info_get_keys(mlx_vector_string* keys, mlx_device_info info) {
  return fill(keys, [&] {
    std::vector<std::string> names;
    for (const auto& [name, value] : get(info)) names.push_back(name);
    return names;
  });
}

}  // extern "C"
