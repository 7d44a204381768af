#include "io/hub/partial_blob.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "io/hub/names.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, int error) {
  throw ArgumentError(fmt::format("[{}] {} can't be written: {}{}", kOp, path.string(),
                                  std::strerror(error),
                                  error == ENOSPC ? "; what has come so far is kept" : ""));
}

// What the checksum of a file's name is computed with; git puts the length in front.
std::optional<Digest> digest_of(const RemoteFile& file) {
  const std::string& blob = file.blob();
  if (is_sha256(blob)) return Digest(Digest::Kind::kSha256);
  if (!is_git_id(blob) || !file.size) return std::nullopt;
  Digest digest(Digest::Kind::kSha1);
  const std::string start = fmt::format("blob {}", *file.size);
  digest.update(std::as_bytes(std::span(start.c_str(), start.size() + 1)));
  return digest;
}

}  // namespace

bool BlobLock::try_lock() {
  while (true) {
    if (file_ < 0) {
      file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
      if (file_ < 0) cannot_write(path_, errno);
    }
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return false;
      return true;  // a file system without locks
    }
    // Whoever held it may have removed it, and another one may be there.
    struct stat ours, named;
    const bool is_named = ::fstat(file_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                          ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
    if (is_named) return true;
    ::close(std::exchange(file_, -1));
  }
}

BlobLock::~BlobLock() {
  if (file_ >= 0) ::close(file_);
}

PartialBlob::PartialBlob(fs::path path, const RemoteFile& file, bool is_new)
    : path_(std::move(path)), file_(file), digest_(digest_of(file)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (descriptor_ < 0) refuse(errno);
  try {
    struct stat status;
    if (::fstat(descriptor_, &status) != 0) refuse(errno);
    if (!S_ISREG(status.st_mode)) refuse(EINVAL);
    if (is_new || !file.size || static_cast<std::uint64_t>(status.st_size) > *file.size) {
      clear();
    } else {
      take_up();
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

PartialBlob::~PartialBlob() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (size_ == 0) ::unlink(path_.c_str());
}

// What an earlier download has left.
void PartialBlob::take_up() {
  std::vector<std::byte> buffer(1 << 20);
  while (true) {
    const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(errno);
    if (count == 0) break;
    if (digest_) digest_->update(std::span(buffer).first(static_cast<std::size_t>(count)));
    size_ += static_cast<std::uint64_t>(count);
  }
  is_continued_ = size_ > 0;
}

void PartialBlob::clear() {
  if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0) refuse(errno);
  digest_ = digest_of(file_);
  size_ = 0;
  is_continued_ = false;
}

void PartialBlob::append(std::span<const std::byte> bytes) {
  if (file_.size && bytes.size() > *file_.size - size_) {
    throw FormatError(fmt::format("[{}] {}: more than the {} bytes come that it was to have", kOp,
                                  file_.name, *file_.size));
  }
  if (digest_) digest_->update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    size_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

bool PartialBlob::verify() {
  if (!digest_) return true;
  const std::string sum = digest_->finish();
  if (sum == file_.blob()) return true;
  const bool is_continued = is_continued_;
  clear();
  if (is_continued) return false;
  throw FormatError(fmt::format("[{}] {}: its checksum is {}, and was to be {}", kOp, file_.name,
                                sum, file_.blob()));
}

void PartialBlob::commit(const fs::path& blob) {
  if (::fsync(descriptor_) != 0 || ::rename(path_.c_str(), blob.c_str()) != 0) refuse(errno);
  ::close(std::exchange(descriptor_, -1));
}

void PartialBlob::refuse(int error) const { cannot_write(path_, error); }

}  // namespace mlxnx::hub
