// What a hub says that a commit of a repository holds, and the form in which caches keep it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlxnx::hub {

/// No file is that large, and the sizes of all that a listing can name add up.
inline constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 43;

/// A text that lists files is no longer.
inline constexpr std::size_t kMostListingBytes = 16 << 20;

struct RemoteFile {
  std::string name;
  std::optional<std::uint64_t> size = {};  ///< servers may not tell
  std::string git_id = {};                 ///< empty where it isn't told
  std::string sha256 = {};                 ///< of files in LFS
  std::string etag = {};                   ///< what the server told of the file alone

  /// What the cache calls its contents; empty where it isn't known.
  const std::string& blob() const {
    return !sha256.empty() ? sha256 : !git_id.empty() ? git_id : etag;
  }
};

struct Listing {
  std::string commit;
  std::vector<RemoteFile> files;  ///< whose names lead nowhere else

  const RemoteFile* find(std::string_view name) const;
};

/// The answer of `/api/models/{repo}/revision/{revision}`. Throws: FormatError.
Listing parse_answer(std::string_view text);

/// The file in which a cache keeps the files of `commit`. Throws: FormatError.
Listing parse_tree(std::string_view text, std::string commit);

/// The same, to be written; nothing where it lacks what that file has to say.
std::optional<std::string> tree_text(const Listing& listing);

}  // namespace mlxnx::hub
