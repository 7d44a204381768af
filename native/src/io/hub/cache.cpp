#include "io/hub/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "files/atomic_file.h"
#include "files/file_errors.h"
#include "io/hub/names.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, int error) {
  throw ArgumentError(
      fmt::format("[{}] {} can't be written: {}", kOp, path.string(), std::strerror(error)));
}

void create(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) refuse(folder, error.value());
}

// `repo` as the name of a folder.
std::string folder_name(std::string_view repo) {
  std::string name = "models--" + std::string(repo);
  if (const std::size_t slash = name.find('/'); slash != name.npos) name.replace(slash, 1, "--");
  return name;
}

std::string read_text(const fs::path& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

RepoCache::RepoCache(fs::path cache, std::string_view repo)
    : cache_(fs::absolute(std::move(cache)).lexically_normal()),
      folder_(cache_ / folder_name(repo)),
      locks_(cache_ / ".locks" / folder_name(repo)) {}

std::string RepoCache::commit_of(const std::string& revision) const {
  if (is_git_id(revision)) return revision;
  const std::string commit = read_text(folder_ / "refs" / revision, 100);
  const std::string id = commit.substr(0, commit.find_last_not_of(" \r\n") + 1);
  return is_git_id(id) ? id : "";
}

std::optional<Listing> RepoCache::tree(const std::string& commit) const {
  const std::string text = read_text(folder_ / "trees" / (commit + ".json"), 2 * kMostListingBytes);
  if (text.empty() || text.size() > 2 * kMostListingBytes) return std::nullopt;
  try {
    return parse_tree(text, commit);
  } catch (const FormatError&) {  // of another version, or spoilt: it can be asked for again
    return std::nullopt;
  }
}

// Where the path leads in the end; folders that lead to other disks do no harm at the cache's top.
bool RepoCache::is_within(const fs::path& path) const {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return false;
  for (const fs::path& root : {folder_, cache_ / "blobs"}) {
    const fs::path real_root = fs::canonical(root, error);
    if (error) continue;
    const fs::path relative = real.lexically_relative(real_root);
    if (!relative.empty() && *relative.begin() != "..") return true;
  }
  return false;
}

bool RepoCache::has_blob(const RemoteFile& file) const {
  const fs::path path = blob(file.blob());
  std::error_code error;
  if (!fs::is_regular_file(path, error) || !is_within(path)) return false;
  const std::uintmax_t size = fs::file_size(path, error);
  return !error && (!file.size || size == *file.size);
}

bool RepoCache::has_file(const std::string& commit, const RemoteFile& file) const {
  const fs::path path = snapshot(commit) / file.name;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  if (!is_within(path)) {
    throw FormatError(fmt::format("[{}] {} leads out of the cache; remove it, if it is not yours",
                                  kOp, path.string()));
  }
  const std::uintmax_t size = fs::file_size(path, error);
  return !error && (!file.size || size == *file.size);
}

std::vector<std::string> RepoCache::files(const std::string& commit) const {
  std::vector<std::string> names;
  const fs::path top = snapshot(commit);
  std::error_code error;
  for (fs::recursive_directory_iterator entry(top, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().lexically_relative(top).string();
    if (!entry->is_directory(ignored) && wrong_with_file_name(name).empty()) names.push_back(name);
  }
  return names;
}

// A folder of the repository's, which no link leads out of it.
void RepoCache::make_folder(const fs::path& folder) const {
  std::error_code error;
  fs::path above = folder;
  while (above != folder_ && !fs::exists(above, error)) above = above.parent_path();
  if (above != folder_ && !is_within(above)) {
    throw FormatError(fmt::format("[{}] {} leads out of the cache; remove it, if it is not yours",
                                  kOp, above.string()));
  }
  create(folder);
}

void RepoCache::make_folders() const {
  create(locks_);
  for (const char* name : {"blobs", "snapshots", "refs"}) make_folder(folder_ / name);
}

void RepoCache::keep_tree(const Listing& listing) const {
  const std::optional<std::string> text = tree_text(listing);
  if (!text || tree(listing.commit)) return;
  make_folder(folder_ / "trees");
  files::write_file(folder_ / "trees" / (listing.commit + ".json"), *text, kOp);
}

void RepoCache::keep_commit(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  make_folder(path.parent_path());
  files::write_file(path, commit, kOp);
}

void RepoCache::link(const std::string& commit, const std::string& file,
                     const std::string& blob_name) const {
  const fs::path path = snapshot(commit) / file;
  make_folder(path.parent_path());
  const fs::path target = blob(blob_name).lexically_relative(path.parent_path());
  // Another process may make the same link meanwhile.
  for (int tries = 0; ::symlink(target.c_str(), path.c_str()) != 0; ++tries) {
    std::error_code error;
    if (errno != EEXIST || tries == 10) refuse(path, errno);
    if (fs::read_symlink(path, error) == target) return;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) refuse(path, errno);
  }
}

}  // namespace mlxnx::hub
