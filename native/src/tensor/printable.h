// Text that came from a file, for people to read.
#pragma once

#include <string>
#include <string_view>

namespace mlxnx::tensors {

/// `text` on one line and without effects on a terminal: control characters, what changes the
/// direction of writing and bytes that are not UTF-8 become `\n`, `\x1b`, `\u202e`, …; anything
/// else stays as it is.
std::string printable(std::string_view text);

}  // namespace mlxnx::tensors
