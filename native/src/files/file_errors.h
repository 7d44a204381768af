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

/// `f()`, whose FormatErrors and UnsupportedErrors get `prefix` in front unless they say `name`.
template <typename F>
auto naming(std::string_view name, const std::string& prefix, F f) {
  const auto named = [&](const std::string& text) {
    return text.find(name) != std::string::npos ? text : prefix + text;
  };
  try {
    return std::move(f)();
  } catch (const FormatError& error) {
    throw FormatError(named(error.what()));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(error.what()));
  }
}

/// The same with "tensor name: ", for what makes something of a file's tensor: where an op refuses
/// its arguments, the file is what is wrong.
template <typename F>
auto naming_tensor(std::string_view name, F f) {
  return naming(name, fmt::format("tensor {:?}: ", cut(std::string(name))), [&f] {
    try {
      return std::move(f)();
    } catch (const FileError&) {
      throw;
    } catch (const ArgumentError& error) {
      throw FormatError(error.what());
    }
  });
}

/// The same with "[op] path: ".
template <typename F>
auto naming_file(std::string_view op, const std::filesystem::path& path, F f) {
  return naming(path.string(), fmt::format("[{}] {}: ", op, path.string()), std::move(f));
}

}  // namespace mlxnx::files
