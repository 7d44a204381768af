// A repository in the cache's folder, laid out as Python's huggingface_hub does:
//
//     models--owner--name/blobs/<checksum>              contents
//                         snapshots/<commit>/<file>     links to them
//                         refs/<revision>               the commit it was when last asked for
//                         trees/<commit>.json           the files of a commit
//     .locks/models--owner--name/<checksum>.lock        held by who writes the blob
//
// Others write there too: links are followed only as long as they stay in the cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/hub/listing.h"

namespace mlxnx::hub {

class RepoCache {
 public:
  RepoCache(std::filesystem::path cache, std::string_view repo);

  const std::filesystem::path& cache() const { return cache_; }
  std::filesystem::path blob(const std::string& name) const { return folder_ / "blobs" / name; }
  /// Where a blob's contents are until it is whole.
  std::filesystem::path incomplete(const std::string& name) const {
    return blob(name + ".incomplete");
  }
  std::filesystem::path lock(const std::string& name) const { return locks_ / (name + ".lock"); }
  std::filesystem::path snapshot(const std::string& commit) const {
    return folder_ / "snapshots" / commit;
  }

  /// The commit that a revision is, as far as the cache knows; empty where it does not.
  std::string commit_of(const std::string& revision) const;
  /// The files of a commit, or nothing where the cache has no list of them.
  std::optional<Listing> tree(const std::string& commit) const;

  /// Whether the contents are there, of that size where it is known.
  bool has_blob(const RemoteFile& file) const;
  /// Whether a snapshot has the file, whole as far as can be told.
  /// Throws: FormatError where its link leads out of the cache.
  bool has_file(const std::string& commit, const RemoteFile& file) const;
  /// The names of the files that a snapshot has.
  std::vector<std::string> files(const std::string& commit) const;

  /// What the folders of a download need to be there. Throws, here and below: ArgumentError, with
  /// the path, when the cache can't be written; FormatError when a folder of it leads out of it.
  void make_folders() const;
  void keep_tree(const Listing& listing) const;
  void keep_commit(const std::string& revision, const std::string& commit) const;
  /// Makes the snapshot's file a link to the blob.
  void link(const std::string& commit, const std::string& file, const std::string& blob) const;

 private:
  void make_folder(const std::filesystem::path& folder) const;
  bool is_within(const std::filesystem::path& path) const;

  std::filesystem::path cache_, folder_, locks_;
};

}  // namespace mlxnx::hub
