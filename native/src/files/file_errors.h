// Errors about a file name it; what is thrown while it is read knows only what is wrong.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::files {

/// `text` for an error's text, which stays short; cut between characters where it is UTF-8.
inline std::string cut(std::string text) {
  constexpr std::size_t kMost = 100;
  constexpr std::size_t kMostInCharacter = 4;
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  const auto goes_on = [&] { return (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80; };
  while (end > kMost - kMostInCharacter && goes_on()) --end;
  return text.substr(0, end) + "…";
}

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
