#include "values.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::cli {
namespace {

std::vector<std::string> numbered(std::vector<std::string> names, std::size_t count) {
  names.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i].empty()) names[i] = std::to_string(i);
  }
  return names;
}

}  // namespace

std::vector<std::string> input_names(const program::Program& program) {
  std::vector<std::string> names;
  for (const program::Input& input : program.main.inputs) names.push_back(input.name);
  return numbered(std::move(names), program.main.inputs.size());
}

std::vector<std::string> output_names(const program::Program& program) {
  return numbered(program.output_names, program.main.outputs.size());
}

std::size_t find_value(const std::string& key, const std::vector<std::string>& names,
                       std::string_view what, std::string_view who) {
  const auto named = std::find(names.begin(), names.end(), key);
  if (named != names.end()) return static_cast<std::size_t>(named - names.begin());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (key == std::to_string(i)) return i;
  }
  throw ArgumentError(
      fmt::format("[{}] the program has no {} {}{}", who, what, key,
                  names.empty() ? "" : fmt::format("; it has {}", fmt::join(names, ", "))));
}

}  // namespace mlxnx::cli
