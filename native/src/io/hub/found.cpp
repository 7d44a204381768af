#include "io/hub/found.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "files/json_values.h"
#include "io/hub/cache.h"
#include "io/hub/names.h"
#include "io/hub/place.h"
#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexSuffix = ".safetensors.index.json";

bool is_weight(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".gguf");
}

// The files that an index of weights names; none of an index that is none.
std::set<std::string> shards_of(const fs::path& index) {
  std::ifstream file(index, std::ios::binary);
  std::string text(kMostListingBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  std::set<std::string> shards;
  try {
    const nlohmann::json json = files::parse_json(text);
    for (const auto& [tensor, shard] : files::member(json, "weight_map").items())
      shards.insert(files::text(shard));
  } catch (const FormatError&) {
    shards.clear();
  }
  return shards;
}

// Which file is missing of a snapshot without a list of its files; empty where none is seen to be.
std::string missing_by_looks(const RepoCache& cache, const std::string& commit,
                             const Options& options) {
  std::vector<std::string> names = cache.files(commit);
  std::erase_if(names, [&](const std::string& name) { return !is_wanted(name, options); });
  for (const std::string& name : names) {
    if (!cache.has_file(commit, {.name = name})) return name;
    if (!name.ends_with(kIndexSuffix)) continue;
    const fs::path folder = fs::path(name).parent_path();
    for (const std::string& shard : shards_of(cache.snapshot(commit) / name)) {
      const std::string path = (folder / shard).string();
      const bool is_file =
          wrong_with_file_name(path).empty() && cache.has_file(commit, {.name = path});
      if (is_wanted(path, options) && !is_file) return tensors::printable(path);
    }
  }
  if (options.include.empty() && std::none_of(names.begin(), names.end(), &is_weight))
    return "a file of weights";
  return names.empty() ? "any file that matches" : "";
}

std::string first_missing(const RepoCache& cache, const std::string& commit,
                          const std::optional<std::string>& file, const Options& options) {
  const std::optional<Listing> tree = cache.tree(commit);
  if (file) {
    const RemoteFile* const listed = tree ? tree->find(*file) : nullptr;
    return cache.has_file(commit, listed != nullptr ? *listed : RemoteFile{.name = *file}) ? ""
                                                                                           : *file;
  }
  if (!tree) return missing_by_looks(cache, commit, options);
  bool is_any = false;
  for (const RemoteFile& listed : tree->files) {
    if (!is_wanted(listed.name, options)) continue;
    if (!cache.has_file(commit, listed)) return listed.name;
    is_any = true;
  }
  return is_any ? "" : "any file that matches";
}

}  // namespace

const std::vector<std::string>& default_patterns() {
  static const std::vector<std::string> patterns = {"*.json",          "model*.safetensors",
                                                    "tokenizer.model", "*.tiktoken",
                                                    "tiktoken.model",  "*.txt",
                                                    "*.jsonl",         "*.jinja"};
  return patterns;
}

bool is_wanted(const std::string& file, const Options& options) {
  return matches(file, options.include.empty() ? default_patterns() : options.include) &&
         !matches(file, options.exclude);
}

Found look_up(std::string_view repo, const std::optional<std::string>& file,
              const Options& options) {
  check_repo(repo);
  check_revision(options.revision);
  if (file) {
    const std::string why = wrong_with_file_name(*file);
    if (!why.empty()) {
      throw ArgumentError(fmt::format("[{}] \"{}\" is no file of a repository: {}", kOp,
                                      tensors::printable(file->substr(0, 200)), why));
    }
  }
  const RepoCache cache(cache_folder(options), repo);
  const std::string commit = cache.commit_of(options.revision);
  if (commit.empty()) return {};
  Found found{.snapshot = cache.snapshot(commit)};
  const std::string missing = first_missing(cache, commit, file, options);
  found.is_complete = missing.empty();
  if (!found.is_complete) found.missing = fmt::format(", {} is missing", missing);
  return found;
}

std::optional<fs::path> find(std::string_view repo, const Options& options) {
  const Found found = look_up(repo, std::nullopt, options);
  return found.is_complete ? std::optional(found.snapshot) : std::nullopt;
}

std::optional<fs::path> find_file(std::string_view repo, std::string_view file,
                                  const Options& options) {
  const Found found = look_up(repo, std::string(file), options);
  return found.is_complete ? std::optional(found.snapshot / file) : std::nullopt;
}

}  // namespace mlxnx::hub
