// A blob that is being downloaded: `<blob>.incomplete`, which a later download continues, and which
// gets its name when it is whole and its checksum right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "io/hub/digest.h"
#include "io/hub/listing.h"

namespace mlxnx::hub {

/// Held by the one who writes a blob, over all processes; gone with the process.
class BlobLock {
 public:
  /// Throws: ArgumentError when the file can't be made.
  explicit BlobLock(std::filesystem::path path) : path_(std::move(path)) {}
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;
  ~BlobLock();

  /// Whether it is held now.
  bool try_lock();

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

class PartialBlob {
 public:
  /// What `path` has of the file so far, or with `is_new` nothing. Throws, here and below:
  /// ArgumentError, with the path, when it can't be written.
  PartialBlob(std::filesystem::path path, const RemoteFile& file, bool is_new);
  PartialBlob(const PartialBlob&) = delete;
  PartialBlob& operator=(const PartialBlob&) = delete;
  ~PartialBlob();

  std::uint64_t size() const { return size_; }
  bool is_whole() const { return file_.size && size_ == *file_.size; }
  /// Throws: FormatError for more than the file has.
  void append(std::span<const std::byte> bytes);
  void clear();
  /// Whether the checksum is right; where the hub tells none, it is. Throws: FormatError, with both
  /// sums, when it is wrong and nothing of the blob came from earlier downloads, which would be to
  /// blame; then, too, nothing is left of it.
  bool verify();
  /// Makes it the file `blob`.
  void commit(const std::filesystem::path& blob);

 private:
  [[noreturn]] void refuse(int error) const;
  void take_up();

  std::filesystem::path path_;
  const RemoteFile& file_;
  std::optional<Digest> digest_;
  std::uint64_t size_ = 0;
  bool is_continued_ = false;
  int descriptor_ = -1;
};

}  // namespace mlxnx::hub
