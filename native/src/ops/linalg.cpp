#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> linalg_ops() { return {}; }

}  // namespace mlxnx::ops
