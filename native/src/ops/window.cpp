#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> window_ops() { return {}; }

}  // namespace mlxnx::ops
