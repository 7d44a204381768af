#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> indexing_ops() { return {}; }

}  // namespace mlxnx::ops
