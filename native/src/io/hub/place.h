// Where a hub is and where its cache: what a call says, else the environment.
#pragma once

#include <filesystem>
#include <string>

#include "mlxnx/hub.h"

namespace mlxnx::hub {

/// The cache's folder. Throws: ArgumentError where nothing tells it.
std::filesystem::path cache_folder(const Options& options);

/// Whether no server may be asked.
bool is_offline(const Options& options);

/// The hub's URL, without a slash at its end. Throws: ArgumentError for anything but http:// or
/// https:// with a host, and for passwords in it, which it does not show.
std::string endpoint(const Options& options);

/// The token that is sent to the hub, or an empty text. Throws: ArgumentError, which does not show
/// it, when it can't stand in a header.
std::string token(const Options& options);

}  // namespace mlxnx::hub
