// What a loop computes alike in every round, computed once before it: tables of rotary positions
// and masks, which the bodies of Nx's `while` hold since they are closed.
#pragma once

#include <memory>

#include "program/ir.h"

namespace mlxnx::program {

/// The region with the loops that stand in it directly made so; itself where there is nothing to
/// do. Taken out of a body are element-wise ops, ops of shapes, and new tensors, where they come to
/// a tensor that is neither so small that it costs nothing nor so large that memory would.
std::shared_ptr<const Region> hoisted(std::shared_ptr<const Region> region);

}  // namespace mlxnx::program
