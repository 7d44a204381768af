#include "io/hub/pull.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "io/hub/cache.h"
#include "io/hub/found.h"
#include "io/hub/names.h"
#include "io/hub/place.h"
#include "io/hub/transfer.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;

// `files` are to come, as far as earlier downloads have not left something of them.
void check_space(const RepoCache& cache, const std::vector<const RemoteFile*>& files,
                 bool is_forced) {
  std::error_code error;
  std::uint64_t bytes = 0;
  for (const RemoteFile* file : files) {
    if (!is_forced && cache.has_blob(*file)) continue;
    const std::uintmax_t there = fs::file_size(cache.incomplete(file->blob()), error);
    bytes += error ? *file->size : *file->size - std::min<std::uint64_t>(there, *file->size);
  }
  const fs::space_info space = fs::space(cache.cache(), error);
  if (error || space.available >= bytes) return;
  throw ArgumentError(fmt::format(
      "[{}] {} has {} bytes free, and {} are to come: free some, or set HF_HUB_CACHE to "
      "another disk",
      kOp, cache.cache().string(), space.available, bytes));
}

// Some of the names, those with the same suffix as `like` first.
std::string some_names(const Listing& listing, const std::string& like) {
  constexpr std::size_t kMost = 10;
  const std::string suffix = fs::path(like).extension().string();
  std::vector<std::string> names;
  for (const RemoteFile& file : listing.files) names.push_back(file.name);
  std::stable_partition(names.begin(), names.end(),
                        [&](const std::string& name) { return name.ends_with(suffix); });
  const bool has_more = names.size() > kMost;
  if (has_more) names.resize(kMost);
  return fmt::format("{}{}", fmt::join(names, ", "), has_more ? ", …" : "");
}

// What is wanted of a listing.
std::vector<RemoteFile> wanted(const Listing& listing, std::string_view repo,
                               const std::optional<std::string>& file, const Options& options) {
  std::vector<RemoteFile> files;
  std::copy_if(listing.files.begin(), listing.files.end(), std::back_inserter(files),
               [&](const RemoteFile& one) {
                 return file ? one.name == *file : is_wanted(one.name, options);
               });
  if (!files.empty()) return files;
  throw HubError(fmt::format("[{}] {} at {} has no {}; it has {}", kOp, repo, options.revision,
                             file ? *file : "file that matches",
                             some_names(listing, file.value_or("model.gguf"))));
}

[[noreturn]] void refuse_offline(std::string_view repo, const Options& options,
                                 const std::string& missing) {
  throw HubError(fmt::format(
      "[{}] {} at {} is not in the cache ({}){}, and nothing is downloaded while offline", kOp,
      repo, options.revision, cache_folder(options).string(), missing));
}

void download(const std::string& commit, const std::vector<const RemoteFile*>& missing,
              const RepoCache& cache, Transfer& transfer, Watch& watch, bool is_forced) {
  for (const RemoteFile* file : missing) {
    watch.begin_file(file->name, *file->size);
    if (is_forced || !cache.has_blob(*file)) transfer.fetch(*file, commit, cache, is_forced);
    watch.set_bytes(*file->size);
    cache.link(commit, file->name, file->blob());
    watch.end_file();
  }
}

// What a cache that can't be written does without: nothing had to be downloaded.
template <typename F>
void if_possible(F write) {
  try {
    write();
  } catch (const ArgumentError&) {
  }
}

}  // namespace

fs::path pull_snapshot(std::string_view repo, const std::optional<std::string>& file,
                       const Options& options, const Patience& patience) {
  const Found found = look_up(repo, file, options);
  const bool is_fixed = is_git_id(options.revision);
  if (found.is_complete && (is_offline(options) || (is_fixed && !options.force)))
    return found.snapshot;
  if (is_offline(options)) refuse_offline(repo, options, found.missing);

  Watch watch(options);
  const auto transfer = open_transfer(std::string(repo), options, watch, patience);
  const RepoCache cache(cache_folder(options), repo);
  std::optional<Listing> listing;
  if (is_fixed && !options.force) listing = cache.tree(options.revision);
  if (!listing) listing = transfer->list(options.revision);
  std::vector<RemoteFile> files = wanted(*listing, repo, file, options);
  const std::string& commit = listing->commit;
  std::vector<const RemoteFile*> missing;
  std::uint64_t size = 0;
  std::uint64_t there = 0;
  for (RemoteFile& one : files) {
    transfer->complete(one, commit);
    size += *one.size;
    if (!options.force && cache.has_file(commit, one)) {
      there += *one.size;
    } else {
      missing.push_back(&one);
    }
  }
  if (missing.empty()) {
    if_possible([&] {
      cache.keep_tree(*listing);
      cache.keep_commit(options.revision, commit);
    });
    return cache.snapshot(commit);
  }
  cache.make_folders();
  check_space(cache, missing, options.force);
  cache.keep_tree(*listing);
  watch.plan(size, there, files.size(), files.size() - missing.size());
  download(commit, missing, cache, *transfer, watch, options.force);
  cache.keep_commit(options.revision, commit);
  return cache.snapshot(commit);
}

fs::path pull(std::string_view repo, const Options& options) {
  return pull_snapshot(repo, std::nullopt, options, {});
}

fs::path pull_file(std::string_view repo, std::string_view file, const Options& options) {
  return pull_snapshot(repo, std::string(file), options, {}) / file;
}

}  // namespace mlxnx::hub
