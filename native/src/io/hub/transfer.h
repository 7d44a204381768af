// Downloads: the list of a repository's files, and files into blobs of the cache.
#pragma once

#include <memory>
#include <string>

#include "io/hub/cache.h"
#include "io/hub/listing.h"
#include "io/hub/watch.h"

namespace mlxnx::hub {

class Transfer {
 public:
  virtual ~Transfer() = default;

  /// The files of a revision. Throws, here and below: as `hub::pull`.
  virtual Listing list(const std::string& revision) = 0;

  /// Fills in the size and the etag of a file where the list lacks them.
  virtual void complete(RemoteFile& file, const std::string& commit) = 0;

  /// Downloads the file into its blob, unless another process does meanwhile.
  virtual void fetch(const RemoteFile& file, const std::string& commit, const RepoCache& cache,
                     bool is_forced) = 0;
};

/// Of one repository, over HTTP. `watch` outlives it.
/// Throws: UnsupportedError where the library was built without libcurl, or it is missing.
std::unique_ptr<Transfer> open_transfer(std::string repo, const Options& options, Watch& watch,
                                        const Patience& patience);

}  // namespace mlxnx::hub
