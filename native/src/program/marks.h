// Marks: the instructions that only say how a program is to be differentiated, stop_gradient and
// custom_vjp. They pass tensors on and cost nothing, since an executable leaves them out.
#pragma once

#include <memory>

#include "program/ir.h"

namespace mlxnx::program {

/// Whether the instruction is a mark.
bool is_mark(const Instruction& instruction);

/// Whether there are marks in the region, or in nested ones.
bool holds_marks(const Region& region);

/// The region without marks, in nested regions too, and without what only marks read: the inputs of
/// a custom_vjp and what its gradient captures. The region itself where there are none.
std::shared_ptr<const Region> without_marks(std::shared_ptr<const Region> region);

}  // namespace mlxnx::program
