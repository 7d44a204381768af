#include "io/hub/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "io/hub/names.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenTellings{100};

}  // namespace

void Watch::check() const {
  if (options_.stop && options_.stop())
    throw HubError(fmt::format("[{}] the download was stopped", kOp));
}

void Watch::wait(milliseconds time) const {
  constexpr milliseconds kStep{50};
  const auto end = std::chrono::steady_clock::now() + time;
  for (auto now = end - time; now < end; now = std::chrono::steady_clock::now()) {
    check();
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kStep, end - now));
  }
  check();
}

void Watch::plan(std::uint64_t size, std::uint64_t bytes, std::size_t files,
                 std::size_t files_done) {
  progress_ = {.file = "", .bytes = bytes, .size = size, .files_done = files_done, .files = files};
}

void Watch::begin_file(const std::string& name, std::uint64_t size) {
  progress_.file = name;
  progress_.file_bytes = 0;
  progress_.file_size = size;
  tell();
}

void Watch::set_bytes(std::uint64_t file_bytes) {
  progress_.bytes += file_bytes - progress_.file_bytes;
  progress_.file_bytes = file_bytes;
  if (std::chrono::steady_clock::now() - told_ >= kBetweenTellings) tell();
}

void Watch::end_file() {
  ++progress_.files_done;
  tell();
}

void Watch::tell() {
  told_ = std::chrono::steady_clock::now();
  if (options_.progress) options_.progress(progress_);
}

}  // namespace mlxnx::hub
