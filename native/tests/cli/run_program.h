// Runs the program itself, as a shell does.
#pragma once

#include <string>

#include "run_shell.h"

namespace mlxnx::cli {

/// Runs the program; the text is standard output and error together unless `redirect` says else.
inline Result run_program(const std::string& arguments, const std::string& redirect = "2>&1") {
  return run_shell("'" MLXNX_PROGRAM "' " + arguments + " " + redirect);
}

}  // namespace mlxnx::cli
