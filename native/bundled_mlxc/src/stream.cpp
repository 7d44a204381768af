#include "mlx/c/stream.h"

#include <sstream>

#include "convert.h"
#include "mlx/utils.h"

using namespace bundled_mlxc;

extern "C" {

MLXC_DEFINE_NEW_EMPTY(mlx_stream)
MLXC_DEFINE_FREE(mlx_stream)
MLXC_DEFINE_SET(mlx_stream)

mlx_stream mlx_stream_new_device(mlx_device dev) {
  return create<mlx_stream>([&] { return core::new_stream(get(dev)); });
}
int mlx_stream_tostring(mlx_string* str, mlx_stream stream) {
  return fill(str, [&] {
    std::ostringstream text;
    text << get(stream);
    return text.str();
  });
}
bool mlx_stream_equal(mlx_stream lhs, mlx_stream rhs) {
  return guard_or(false, [&] { return get(lhs) == get(rhs); });
}
int mlx_stream_get_device(mlx_device* dev, mlx_stream stream) {
  return fill(dev, [&] { return get(stream).device; });
}
int mlx_stream_get_index(int* index, mlx_stream stream) {
  return store(index, [&] { return get(stream).index; });
}
int mlx_synchronize(mlx_stream stream) {
  return guard([&] { core::synchronize(get(stream)); });
}
int mlx_get_default_stream(mlx_stream* stream, mlx_device dev) {
  return fill(stream, [&] { return core::default_stream(get(dev)); });
}
int mlx_set_default_stream(mlx_stream stream) {
  return guard([&] { core::set_default_stream(get(stream)); });
}
mlx_stream mlx_default_cpu_stream_new(void) {
  return create<mlx_stream>([] { return core::default_stream(core::Device::cpu); });
}
mlx_stream mlx_default_gpu_stream_new(void) {
  return create<mlx_stream>([] { return core::default_stream(core::Device::gpu); });
}

}  // extern "C"
