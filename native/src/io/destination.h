// Where a new file or folder goes.
#pragma once

#include <filesystem>
#include <string_view>

#include "files/partial.h"

namespace mlxnx::io {

/// `to` without a slash or dot at its end, where nothing stands yet. Throws: ArgumentError where
/// something does, a link to nothing too, and for a path without a name.
std::filesystem::path free_place(const std::filesystem::path& to, std::string_view op);

/// A folder that is gone unless it takes its place, with all folders above it that were not there.
class DraftFolder {
 public:
  /// Throws here and below: FileError that names the place.
  DraftFolder(const std::filesystem::path& place, std::string_view op);
  DraftFolder(const DraftFolder&) = delete;
  DraftFolder& operator=(const DraftFolder&) = delete;
  ~DraftFolder();

  const std::filesystem::path& path() const { return partial_.path(); }
  void take_place();

 private:
  [[noreturn]] void refuse(int error) const;
  void remove_parents() const;

  std::filesystem::path place_;
  std::string_view op_;
  std::filesystem::path above_;  ///< the highest folder that was made for it; empty for none
  files::Partial partial_;
};

}  // namespace mlxnx::io
