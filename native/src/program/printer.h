// Programs as text, and as Graphviz graphs.
#pragma once

#include <string>

#include "program/ir.h"

namespace mlxnx::program {

/// `%3 = dot %0, %2`: how errors name an instruction.
std::string label(const Instruction& instruction);

/// One line per instruction, regions indented below theirs:
///
///     program(%0 x: f32[2][3]) {
///       %1 = sum %0 {axes: [1], keep_axes: false} : f32[2]
///       return %1
///     }
std::string to_text(const Program& program);
std::string to_text(const Region& region);

/// The program as a Graphviz digraph; regions are clusters.
std::string to_dot(const Program& program);

}  // namespace mlxnx::program
