#include "files/partial.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <random>
#include <set>
#include <system_error>
#include <utility>

namespace mlxnx::files {
namespace {

namespace fs = std::filesystem;

struct Registry {
  std::mutex mutex;
  std::set<fs::path> paths;
};

// Never destroyed: a thread may write while the process ends.
Registry& registry() {
  static auto* const own = new Registry;
  return *own;
}

// Numbers of processes come back, and with them what one has left behind that was killed.
fs::path named(const fs::path& place) {
  std::random_device random;
  const std::uint64_t number = (std::uint64_t{random()} << 32) | random();
  return place.string() + fmt::format(".{:016x}.partial", number);
}

}  // namespace

Partial::~Partial() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  const std::lock_guard lock(registry().mutex);
  registry().paths.erase(path_);
}

int Partial::make(const fs::path& place, const std::function<int(const fs::path& path)>& make) {
  constexpr int kTries = 100;
  const std::lock_guard lock(registry().mutex);
  int error = EEXIST;
  for (int i = 0; i < kTries && error == EEXIST; ++i) {
    fs::path path = named(place);
    error = make(path);
    if (error != 0) continue;
    registry().paths.insert(path);
    path_ = std::move(path);
  }
  return error;
}

int Partial::take(const fs::path& place) {
  if (::rename(path_.c_str(), place.c_str()) != 0) return errno;
  const std::lock_guard lock(registry().mutex);
  registry().paths.erase(path_);
  path_.clear();
  return 0;
}

void remove_partials_for_good() {
  registry().mutex.lock();
  std::error_code ignored;
  for (const fs::path& path : registry().paths) fs::remove_all(path, ignored);
}

}  // namespace mlxnx::files
