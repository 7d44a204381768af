#pragma once

#include "transforms/transforms.h"

namespace mlxnx::transforms {

/// The region without instructions that nothing reads, and with equal pure ones merged, in nested
/// regions too. Hooks and runtime calls stay.
RegionPtr cleaned(RegionPtr region);

}  // namespace mlxnx::transforms
