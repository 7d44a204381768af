#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> conv_ops() { return {}; }

}  // namespace mlxnx::ops
