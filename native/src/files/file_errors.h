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

[[noreturn]] inline void refuse(const std::string& what) { throw FormatError(what); }

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

/// Whether an error's text names the file already, as "[op] path: " or what lies in it.
inline bool names_file(std::string_view text, const std::filesystem::path& path) {
  const std::size_t op = text.find("] ");
  if (!text.starts_with('[') || op == std::string_view::npos) return false;
  const std::string name = path.string();
  const std::string_view rest = text.substr(op + 2);
  if (name.empty() || !rest.starts_with(name)) return false;
  return name.back() == '/' || rest.substr(name.size()).starts_with(':') ||
         rest.substr(name.size()).starts_with('/');
}

/// `f()`, whose FormatErrors and UnsupportedErrors have `named(text)` for their text.
template <typename Named, typename F>
auto naming(Named named, F f) {
  try {
    return std::move(f)();
  } catch (const FormatError& error) {
    throw FormatError(named(std::string(error.what())));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(std::string(error.what())));
  }
}

/// `f()`, whose errors get "tensor name: " in front unless they name it. Where an op refuses its
/// arguments, the file that they come from is what is wrong.
template <typename F>
auto naming_tensor(const std::string& name, F f) {
  const auto named = [&](const std::string& text) {
    if (text.find(fmt::format("{:?}", name)) != std::string::npos) return text;
    return fmt::format("tensor {:?}: {}", cut(name), text);
  };
  return naming(named, [&f] {
    try {
      return std::move(f)();
    } catch (const FileError&) {
      throw;
    } catch (const ArgumentError& error) {
      throw FormatError(error.what());
    }
  });
}

/// `f()`, whose FormatErrors and UnsupportedErrors get "[op] path: " in front unless they name it.
template <typename F>
auto naming_file(std::string_view op, const std::filesystem::path& path, F f) {
  return naming(
      [&](const std::string& text) {
        return names_file(text, path) ? text : fmt::format("[{}] {}: {}", op, path.string(), text);
      },
      std::move(f));
}

}  // namespace mlxnx::files
