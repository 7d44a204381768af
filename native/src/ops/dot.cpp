#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> dot_ops() { return {}; }

}  // namespace mlxnx::ops
