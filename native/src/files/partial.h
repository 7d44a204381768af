// Files and folders that are written beside their place, under a name of their own, until they are
// whole.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace mlxnx::files {

/// Something called "{place}.{random}.partial", which is gone with this object unless it has taken
/// a place.
class Partial {
 public:
  Partial() = default;
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  ~Partial();

  /// Has `make` make it under the path that it is given, where nothing may be replaced. `make`
  /// answers 0 or an errno; where something of that name stands, another is tried.
  /// Returns: what `make` answered last.
  int make(const std::filesystem::path& place,
           const std::function<int(const std::filesystem::path& path)>& make);
  /// Renames it. Returns: 0, or an errno, and then it is still here.
  int take(const std::filesystem::path& place);

  const std::filesystem::path& path() const { return path_; }
  bool exists() const { return !path_.empty(); }

 private:
  std::filesystem::path path_;
};

/// Takes away all that is partial at this moment, for whoever ends the process in the midst of
/// things: other threads that write wait for that from then on. Not for handlers of signals.
void remove_partials_for_good();

}  // namespace mlxnx::files
