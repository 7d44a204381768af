#include "io/destination.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "mlxnx/error.h"

namespace mlxnx::io {

namespace fs = std::filesystem;

fs::path free_place(const fs::path& to, std::string_view op) {
  if (to.empty()) throw ArgumentError(fmt::format("[{}] the output has no name", op));
  fs::path place = (to / "").lexically_normal().parent_path();
  // "." is a folder by another name.
  if (place.empty() || place == "." || place.filename() == "..") place = fs::absolute(place / ".");
  std::error_code error;
  const fs::file_type type = fs::symlink_status(place, error).type();
  if (type == fs::file_type::not_found) return place;
  // What can't be looked at can't be written to either.
  if (type == fs::file_type::none)
    throw FileError(fmt::format("[{}] {} can't be written: {}", op, to.string(), error.message()),
                    "write to file", to.string(), error.value());
  throw ArgumentError(
      fmt::format("[{}] {} exists: remove it, or choose another place", op, to.string()));
}

DraftFolder::DraftFolder(const fs::path& place, std::string_view op) : place_(place), op_(op) {
  std::error_code error;
  for (fs::path above = place.parent_path(); !above.empty() && !fs::exists(above, error);
       above = above.parent_path())
    above_ = above;
  if (!place.parent_path().empty()) fs::create_directories(place.parent_path(), error);
  const int failed = partial_.make(place, [](const fs::path& path) {
    constexpr mode_t kMode = 0777;
    return ::mkdir(path.c_str(), kMode) == 0 ? 0 : errno;
  });
  if (failed == 0) return;
  remove_parents();
  refuse(failed);
}

DraftFolder::~DraftFolder() {
  if (!partial_.exists()) return;
  std::error_code ignored;
  fs::remove_all(partial_.path(), ignored);
  remove_parents();
}

// Only what is empty, since somebody else may write there meanwhile.
void DraftFolder::remove_parents() const {
  if (above_.empty()) return;
  std::error_code error;
  for (fs::path folder = place_.parent_path(); fs::remove(folder, error) && folder != above_;
       folder = folder.parent_path()) {
  }
}

void DraftFolder::take_place() {
  if (const int error = partial_.take(place_); error != 0) refuse(error);
}

void DraftFolder::refuse(int error) const {
  throw FileError(
      fmt::format("[{}] {} can't be written: {}", op_, place_.string(), std::strerror(error)),
      "write to file", place_.string(), error);
}

}  // namespace mlxnx::io
