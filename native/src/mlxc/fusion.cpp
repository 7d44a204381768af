#include "mlxc/fusion.h"

#include <cstdlib>
#include <string>

#include "mlxc/kernel_compiler.h"
#include "mlxc/kernel_node.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {
namespace {

Fusion fusion_on_cpu() {
  const char* const value = std::getenv("MLXNX_FUSE");
  const std::string name = value != nullptr ? value : "";
  if (name == "0") return Fusion::kNone;
  if (name == "compiler") return Fusion::kByCompiler;
  if (!name.empty() && name != "kernels") {
    throw ArgumentError("MLXNX_FUSE should be \"kernels\", \"compiler\" or \"0\", got \"" + name +
                        '"');
  }
  return has_kernels() ? Fusion::kByKernels : Fusion::kByCompiler;
}

}  // namespace

Fusion fusion() {
  static const Fusion on_cpu = fusion_on_cpu();
  const Fusion chosen = default_device() == Device::kCpu ? on_cpu : Fusion::kByCompiler;
  return chosen == Fusion::kByCompiler && !can_fuse() ? Fusion::kNone : chosen;
}

}  // namespace mlxnx::mlxc
