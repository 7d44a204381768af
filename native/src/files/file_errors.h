// Errors about a file name it; what is thrown while it is read knows only what is wrong.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::files {

/// `f()`, whose FormatErrors and UnsupportedErrors get what `prefix()` answers in front.
template <typename Prefix, typename F>
auto prefixing_errors(Prefix prefix, F f) {
  try {
    return std::move(f)();
  } catch (const FormatError& error) {
    throw FormatError(prefix() + error.what());
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(prefix() + error.what());
  }
}

/// `f()`, whose FormatErrors and UnsupportedErrors get "[op] path: " in front.
template <typename F>
auto naming_file(std::string_view op, const std::filesystem::path& path, F f) {
  return prefixing_errors([&] { return fmt::format("[{}] {}: ", op, path.string()); },
                          std::move(f));
}

}  // namespace mlxnx::files
