#include "io/hub/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "io/hub/names.h"
#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;

// Empty variables count as none.
std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

fs::path home() {
  const std::string home = environment("HOME");
  if (!home.empty()) return home;
  throw ArgumentError(
      fmt::format("[{}] there is no place for the cache: set HF_HUB_CACHE, HF_HOME or HOME", kOp));
}

// A path of the environment, in which `~` is the user's folder.
fs::path expanded(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  return path.size() > 2 ? home() / path.substr(2) : home();
}

fs::path hub_home() {
  if (const std::string path = environment("HF_HOME"); !path.empty()) return expanded(path);
  const std::string caches = environment("XDG_CACHE_HOME");
  return (caches.empty() ? home() / ".cache" : expanded(caches)) / "huggingface";
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t start = text.find_first_not_of(kSpace);
  if (start == text.npos) return "";
  return text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

std::string token_of_file() {
  const std::string named = environment("HF_TOKEN_PATH");
  const bool has_home = !environment("HF_HOME").empty() || !environment("HOME").empty() ||
                        !environment("XDG_CACHE_HOME").empty();
  if (named.empty() && !has_home) return "";
  std::ifstream file(named.empty() ? hub_home() / "token" : expanded(named));
  std::array<char, 4096> text{};
  file.read(text.data(), text.size());
  return {text.data(), static_cast<std::size_t>(file.gcount())};
}

}  // namespace

fs::path cache_folder(const Options& options) {
  if (!options.cache.empty()) return options.cache;
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string path = environment(name); !path.empty()) return expanded(path);
  return hub_home() / "hub";
}

bool is_offline(const Options& options) {
  return options.offline.value_or(is_true(environment("HF_HUB_OFFLINE")));
}

std::string endpoint(const Options& options) {
  std::string url = options.endpoint.empty() ? environment("HF_ENDPOINT") : options.endpoint;
  if (url.empty()) url = "https://huggingface.co";
  while (url.ends_with('/')) url.pop_back();
  std::string_view rest = url;
  for (const std::string_view scheme : {"https://", "http://"})
    if (rest.size() == url.size() && rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  // Not shown: it may be the password that is in the wrong place.
  if (rest.find('@') != rest.npos) {
    throw ArgumentError(fmt::format(
        "[{}] the hub's URL must not hold a name or a password: a token is given by HF_TOKEN",
        kOp));
  }
  const bool is_url = rest.size() < url.size() && !rest.empty() && rest.front() != '/' &&
                      rest.find_first_of("?#\\ ") == rest.npos && tensors::printable(url) == url;
  if (is_url) return url;
  throw ArgumentError(fmt::format("[{}] \"{}\" is no URL of a hub: those are https://host", kOp,
                                  tensors::printable(url.substr(0, 200))));
}

std::string token(const Options& options) {
  std::string token = trimmed(options.token.value_or(environment("HF_TOKEN")));
  if (token.empty() && !options.token) token = trimmed(token_of_file());
  const bool is_good =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  if (is_good && token.size() < 4096) return token;
  throw ArgumentError(
      fmt::format("[{}] the token is none: it is too long, or has spaces or characters in it that "
                  "no token has",
                  kOp));
}

}  // namespace mlxnx::hub
