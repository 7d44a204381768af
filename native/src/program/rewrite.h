// Rewrites of regions into ones of the same meaning that MLX computes faster.
//
// - `transpose(dot(a, b))` that brings the free axes of `b` before those of `a` is `dot(b, a)`:
//   gradients of products come like that, and what reads a transposed view is several times slower.
// - What loops compute alike in every round goes before them: see hoist.h.
#pragma once

#include <memory>

#include "program/ir.h"

namespace mlxnx::program {

/// `region` itself where there is nothing to rewrite. The region has been verified.
std::shared_ptr<const Region> rewritten(std::shared_ptr<const Region> region);

}  // namespace mlxnx::program
