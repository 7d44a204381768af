// What the program prints: standard output that can't be written is an error like any other.
#pragma once

#include <string_view>

namespace mlxnx::cli {

/// Gives each standard stream that the caller has closed something to fail on. Otherwise the next
/// file that is opened would get its number, and what is printed.
void open_standard_streams();

/// Writes `text` to standard output.
/// Throws: ArgumentError when that fails.
void print(std::string_view text);

/// Writes what is buffered. A pipe whose reader is gone ends the process, silently.
/// Throws: ArgumentError when anything printed so far could not be written.
void flush_output();

/// Writes `text`, which may come from anywhere, as one line to standard error.
void print_error(std::string_view text);

}  // namespace mlxnx::cli
