#include "io/hub/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "files/json_values.h"
#include "io/hub/names.h"
#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

using files::member;
using files::text_member;
using nlohmann::json;

constexpr int kTreeVersion = 1;

bool has(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

std::uint64_t size_member(const json& object, const char* key) {
  const auto size = files::integer<std::uint64_t>(member(object, key));
  if (size <= kMostFileBytes) return size;
  throw FormatError(fmt::format("a file of {} bytes, more than any has", size));
}

// The member, which must be an id as `is_id` knows it.
std::string id_member(const json& object, const char* key, bool (*is_id)(std::string_view)) {
  const std::string& id = text_member(object, key);
  if (is_id(id)) return id;
  throw FormatError(fmt::format("{}: {} is no checksum", key, files::shown(object.at(key))));
}

// Whatever else is wrong with a file is told with its name.
template <typename F>
void naming(const std::string& name, F read) {
  const std::string why = wrong_with_file_name(name);
  if (!why.empty()) {
    throw FormatError(
        fmt::format("a file is called \"{}\", which leads to no file of a repository: {}",
                    tensors::printable(name.substr(0, 200)), why));
  }
  try {
    read();
  } catch (const FormatError& error) {
    throw FormatError(fmt::format("{}: {}", name, error.what()));
  }
}

// Two files of one name, or a file that another takes for a folder, can't both be written.
void check_names(const std::vector<RemoteFile>& all) {
  std::unordered_set<std::string_view> names;
  for (const RemoteFile& file : all)
    if (!names.insert(file.name).second)
      throw FormatError(fmt::format("{} is there twice", file.name));
  for (const RemoteFile& file : all) {
    const std::string_view name = file.name;
    for (std::size_t at = name.find('/'); at != name.npos; at = name.find('/', at + 1)) {
      if (names.contains(name.substr(0, at)))
        throw FormatError(fmt::format("{} is a file and a folder", name.substr(0, at)));
    }
  }
}

}  // namespace

const RemoteFile* Listing::find(std::string_view name) const {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const RemoteFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

Listing parse_answer(std::string_view text) {
  const json answer = files::parse_json(text);
  Listing listing{.commit = id_member(answer, "sha", &is_git_id), .files = {}};
  for (const json& sibling : files::list_member(answer, "siblings")) {
    RemoteFile file{.name = text_member(sibling, "rfilename")};
    naming(file.name, [&] {
      if (has(sibling, "size")) file.size = size_member(sibling, "size");
      if (has(sibling, "blobId")) file.git_id = id_member(sibling, "blobId", &is_git_id);
      if (!has(sibling, "lfs")) return;
      const json& lfs = sibling.at("lfs");
      file.sha256 = id_member(lfs, "sha256", &is_sha256);
      file.size = size_member(lfs, "size");
    });
    listing.files.push_back(std::move(file));
  }
  check_names(listing.files);
  return listing;
}

Listing parse_tree(std::string_view text, std::string commit) {
  const json tree = files::parse_json(text);
  if (files::integer<int>(member(tree, "format_version")) != kTreeVersion)
    throw FormatError(fmt::format("its version is {}", files::shown(tree.at("format_version"))));
  const json& all = member(tree, "files");
  if (!all.is_object()) throw FormatError(fmt::format("files: {} is no object", files::shown(all)));
  Listing listing{.commit = std::move(commit), .files = {}};
  for (const auto& [name, entry] : all.items()) {
    RemoteFile file{.name = name};
    naming(name, [&, &entry = entry] {
      file.size = size_member(entry, "size");
      file.git_id = id_member(entry, "blob_id", &is_git_id);
      if (!has(entry, "lfs_sha256")) return;
      file.sha256 = id_member(entry, "lfs_sha256", &is_sha256);
      if (has(entry, "lfs_size")) file.size = size_member(entry, "lfs_size");
    });
    listing.files.push_back(std::move(file));
  }
  check_names(listing.files);
  return listing;
}

std::optional<std::string> tree_text(const Listing& listing) {
  json all = json::object();
  for (const RemoteFile& file : listing.files) {
    if (!file.size || file.git_id.empty()) return std::nullopt;
    json& entry = all[file.name] = {{"size", *file.size}, {"blob_id", file.git_id}};
    if (file.sha256.empty()) continue;
    entry["lfs_sha256"] = file.sha256;
    entry["lfs_size"] = *file.size;
  }
  return json{{"format_version", kTreeVersion}, {"files", std::move(all)}}.dump(1);
}

}  // namespace mlxnx::hub
