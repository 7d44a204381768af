// Inputs and outputs of a program, as the command line names them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "program/ir.h"

namespace mlxnx::cli {

/// The names of a program's inputs or outputs; numbers stand for those without a name.
std::vector<std::string> input_names(const program::Program& program);
std::vector<std::string> output_names(const program::Program& program);

/// The place of the value that `key` names, by its name or by its number. `what` it is and `who`
/// asks are for the error's text.
/// Throws: ArgumentError where there is none.
std::size_t find_value(const std::string& key, const std::vector<std::string>& names,
                       std::string_view what, std::string_view who);

}  // namespace mlxnx::cli
