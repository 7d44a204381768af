#include "files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "files/descriptors.h"
#include "mlxnx/error.h"

namespace mlxnx::files {

AtomicFile::AtomicFile(std::filesystem::path path, std::string_view op)
    : path_(std::move(path)), op_(op) {
  std::error_code unknown;
  const auto kind = std::filesystem::status(path_, unknown).type();
  using std::filesystem::file_type;
  if (kind != file_type::regular && kind != file_type::not_found && kind != file_type::none) {
    file_ = open_descriptor(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    place_ = kind == file_type::regular ? std::filesystem::canonical(path_, unknown) : path_;
    if (place_.empty()) place_ = path_;
    errno = partial_.make(place_, [this](const std::filesystem::path& path) {
      file_ = open_descriptor(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      return file_ < 0 ? errno : 0;
    });
  }
  if (file_ < 0) refuse(errno);
  // Who may read what is replaced may read what replaces it, and nobody else.
  struct stat before {};
  if (partial_.exists() && ::stat(place_.c_str(), &before) == 0)
    ::fchmod(file_, before.st_mode & 07777);
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
}

void AtomicFile::refuse(int error) const {
  throw FileError(
      fmt::format("[{}] {} can't be written: {}", op_, path_.string(), std::strerror(error)),
      "write to file", path_.string(), error);
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

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  size_ = std::max(size_, offset);
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
  const bool is_moved = partial_.exists();
  if (is_moved) {
    if (::fsync(file_) != 0) refuse(errno);
    if (const int error = partial_.take(place_); error != 0) refuse(error);
  }
  // What is written into may say only now that it is full.
  const int file = std::exchange(file_, -1);
  if (::close(file) != 0 && !is_moved) refuse(errno);
}

void write_file(const std::filesystem::path& path, std::string_view text, std::string_view op) {
  AtomicFile file(path, op);
  file.write(text);
  file.commit();
}

}  // namespace mlxnx::files
