#include "files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::files {

AtomicFile::AtomicFile(std::filesystem::path path, std::string_view op)
    : path_(std::move(path)), op_(op) {
  static std::atomic<unsigned> number = 0;
  partial_ = fmt::format("{}.{}-{}.partial", path_.string(), ::getpid(), number.fetch_add(1));
  file_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0) refuse(errno);
}

AtomicFile::~AtomicFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(partial_.c_str());
}

void AtomicFile::refuse(int error) const {
  throw ArgumentError(
      fmt::format("[{}] {} can't be written: {}", op_, path_.string(), std::strerror(error)));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    size_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::pad(std::uint64_t alignment) {
  constexpr std::array<std::byte, 64> kZeros{};
  std::uint64_t missing = (alignment - size_ % alignment) % alignment;
  while (missing > 0) {
    const std::size_t count = std::min<std::uint64_t>(missing, kZeros.size());
    write(std::span(kZeros).first(count));
    missing -= count;
  }
}

void AtomicFile::commit() {
  if (::fsync(file_) != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) refuse(errno);
  ::close(std::exchange(file_, -1));
}

void write_file(const std::filesystem::path& path, std::string_view text, std::string_view op) {
  AtomicFile file(path, op);
  file.write(text);
  file.commit();
}

}  // namespace mlxnx::files
