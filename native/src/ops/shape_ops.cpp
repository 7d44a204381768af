#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> shape_ops() { return {}; }

}  // namespace mlxnx::ops
