#include "mlxc/version.h"

#include <array>
#include <cstdio>
#include <string>

#include "mlxnx/device.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {

bool mlx_is_older_than(int major, int minor, int patch) {
  static const std::array<int, 3> found = [] {
    const std::string text = mlx_version();
    std::array<int, 3> version{};
    if (std::sscanf(text.c_str(), "%d.%d.%d", &version[0], &version[1], &version[2]) < 2)
      throw BackendError("[version] MLX calls itself \"" + text + "\", which is no version");
    return version;
  }();
  return found < std::array{major, minor, patch};
}

}  // namespace mlxnx::mlxc
