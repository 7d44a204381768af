// What the cache has of a repository already.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mlxnx/hub.h"

namespace mlxnx::hub {

/// Whether the patterns let a file through.
bool is_wanted(const std::string& file, const Options& options);

struct Found {
  std::filesystem::path snapshot = {};  ///< empty where the revision isn't known
  bool is_complete = false;
  std::string missing = {};  ///< for an error's text: ", NAME is missing"
};

/// Looks for the files that match, or for the one that is named.
/// Throws: ArgumentError for names that are none, FormatError for links that lead out of the cache.
Found look_up(std::string_view repo, const std::optional<std::string>& file,
              const Options& options);

}  // namespace mlxnx::hub
