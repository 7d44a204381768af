#include "mlxc/version.h"

#include <cstdio>
#include <string>
#include <utility>

#include "mlxnx/device.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

bool mlx_is_older_than(int major, int minor) {
  static const std::pair<int, int> found = [] {
    const std::string text = mlx_version();
    std::pair<int, int> version;
    if (std::sscanf(text.c_str(), "%d.%d", &version.first, &version.second) != 2)
      throw BackendError("[version] MLX calls itself \"" + text + "\", which is no version");
    return version;
  }();
  return found < std::pair(major, minor);
}

}  // namespace mlxnx::mlxc
