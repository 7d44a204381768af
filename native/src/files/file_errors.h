// Errors about a file name it; what is thrown while it is read knows only what is wrong.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::files {

/// `f()`, whose FormatErrors and UnsupportedErrors get "[op] path: " in front.
template <typename F>
auto naming_file(std::string_view op, const std::filesystem::path& path, F f) {
  const auto named = [&](const std::exception& error) {
    return fmt::format("[{}] {}: {}", op, path.string(), error.what());
  };
  try {
    return std::move(f)();
  } catch (const FormatError& error) {
    throw FormatError(named(error));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(error));
  }
}

}  // namespace mlxnx::files
