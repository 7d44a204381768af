// What the public functions do, with a patience that tests choose.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/hub/watch.h"
#include "mlxnx/hub.h"

namespace mlxnx::hub {

/// A repository's files that match, or the one that is named. Returns: the snapshot's folder.
std::filesystem::path pull_snapshot(std::string_view repo, const std::optional<std::string>& file,
                                    const Options& options, const Patience& patience);

}  // namespace mlxnx::hub
