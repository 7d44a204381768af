#include "ops/registry.h"

namespace mlxnx::ops {

std::span<const OpDef> fft_ops() { return {}; }

}  // namespace mlxnx::ops
