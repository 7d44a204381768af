#include "io/hub/names.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "mlxnx/error.h"
#include "mlxnx/hub.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

using tensors::printable;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(std::string_view text, std::size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_repo_part(std::string_view part) {
  const auto is_good = [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
  };
  const auto is_edge = [](char c) { return is_alphanumeric(c) || c == '_'; };
  return !part.empty() && std::all_of(part.begin(), part.end(), is_good) && is_edge(part.front()) &&
         is_edge(part.back()) && part.find("--") == part.npos && part.find("..") == part.npos;
}

}  // namespace

bool is_repository(const std::string& name) {
  const std::string_view text = name;
  const std::size_t slash = text.find('/');
  std::error_code error;
  return slash != text.npos && is_repo_part(text.substr(0, slash)) &&
         is_repo_part(text.substr(slash + 1)) && !text.ends_with(".gguf") &&
         !std::filesystem::exists(name, error);
}

void check_repo(std::string_view repo) {
  const std::size_t slash = repo.find('/');
  const bool is_good = repo.size() <= 96 &&
                       (slash == repo.npos || is_repo_part(repo.substr(0, slash))) &&
                       is_repo_part(repo.substr(slash == repo.npos ? 0 : slash + 1));
  if (is_good) return;
  throw ArgumentError(
      fmt::format("[{}] \"{}\" is no name of a repository: those are owner/name, of letters, "
                  "digits, -, _ and .",
                  kOp, printable(repo.substr(0, 200))));
}

std::string wrong_with_file_name(std::string_view name) {
  constexpr std::size_t kLongestName = 1000;
  constexpr std::size_t kLongestPart = 240;  // file systems take 255, and a name gets suffixes
  if (name.empty()) return "it is empty";
  if (name.size() > kLongestName) return fmt::format("it has {} bytes", name.size());
  if (name.find('\\') != name.npos) return "it has a backslash";
  if (printable(name) != name) return "it has characters that can't be shown";
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    if (part.empty()) return name.front() == '/' ? "it is absolute" : "a part of it is empty";
    if (part == "." || part == "..") return fmt::format("a part of it is \"{}\"", part);
    if (part.size() > kLongestPart) return fmt::format("a part of it has {} bytes", part.size());
    start = end + 1;
  }
  return "";
}

void check_revision(std::string_view revision) {
  std::string why = wrong_with_file_name(revision);
  if (why.empty() && revision.size() > 200) why = fmt::format("it has {} bytes", revision.size());
  const std::size_t at = revision.find_first_of(" ~^:?*[");
  if (why.empty() && at != revision.npos) why = fmt::format("it has a \"{}\"", revision[at]);
  if (why.empty()) return;
  throw ArgumentError(
      fmt::format("[{}] \"{}\" is no revision: {}", kOp, printable(revision.substr(0, 200)), why));
}

bool is_git_id(std::string_view text) { return is_hex(text, 40); }
bool is_sha256(std::string_view text) { return is_hex(text, 64); }

bool is_blob_name(std::string_view text) {
  return text.size() <= 128 && !text.empty() && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
}

bool matches(const std::string& name, std::span<const std::string> patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string pattern) {
    if (pattern.ends_with('/')) pattern += '*';
    return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::string url_encoded(std::string_view text, bool keeps_slashes) {
  std::string encoded;
  for (const char c : text) {
    const bool stays = is_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '~';
    if (stays || (c == '/' && keeps_slashes)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace mlxnx::hub
