#pragma once

#include "transforms/transforms.h"

namespace mlxnx::transforms {

/// The region without instructions that nothing reads, and with equal pure ones merged, in nested
/// regions too. Hooks and runtime calls stay.
RegionPtr cleaned(program::Region region);

/// The region without hooks, in nested regions too; the region itself where there are none. For who
/// runs it again: hooks are told once.
RegionPtr silent(const RegionPtr& region);

}  // namespace mlxnx::transforms
