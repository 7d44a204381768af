#include "mlx/c/string.h"

#include "convert.h"
#include "mlx/c/version.h"
#include "mlx/version.h"

using namespace bundled_mlxc;

extern "C" {

MLXC_DEFINE_NEW_EMPTY(mlx_string)
MLXC_DEFINE_FREE(mlx_string)
MLXC_DEFINE_SET(mlx_string)

mlx_string mlx_string_new_data(const char* str) {
  return create<mlx_string>([&] { return to_cpp(str); });
}
const char* mlx_string_data(mlx_string str) {
  return guard_or<const char*>(nullptr, [&] { return get(str).c_str(); });
}

int mlx_version(mlx_string* str_) {
  return fill(str_, [] { return core::version(); });
}

}  // extern "C"
