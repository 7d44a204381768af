#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> creation_ops() { return {}; }

}  // namespace mlxnx::ops
