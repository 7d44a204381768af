// Files that the mutations begin with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlxnx::fuzz {

/// Small files of the format that the target `name` reads; most of them are good ones.
std::vector<std::string> seeds_of(std::string_view name);

}  // namespace mlxnx::fuzz
