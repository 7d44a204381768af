// Loops, branches and custom gradients differentiated.
#pragma once

#include "transforms/apply.h"

namespace mlxnx::transforms {

/// A loop over pairs: the tangents go round with the state.
Duals push_through_while(const program::Instruction& instruction, std::span<const Tensor> operands,
                         std::span<const Linear> tangents);
/// The branch taken, with tangents.
Duals push_through_cond(const program::Instruction& instruction, std::span<const Tensor> operands,
                        std::span<const Linear> tangents);

/// A loop that goes back through the iterations.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted);
/// The pullback of the branch taken.
Linears cond_cotangents(const Application& call, std::span<const Linear> cotangents,
                        const std::vector<bool>& wanted);
/// What the function itself says; throws UnsupportedError with its reason where it refuses.
Linears custom_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted);

}  // namespace mlxnx::transforms
