// Ctrl-C ends the program at once and says so.
#pragma once

namespace mlxnx::cli {

/// Makes SIGINT print a line to standard error before it ends the process; a shell then reports
/// status 130.
void end_on_interrupt();

}  // namespace mlxnx::cli
