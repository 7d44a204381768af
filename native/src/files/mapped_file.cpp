#include "files/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "files/descriptors.h"
#include "mlxnx/error.h"

namespace mlxnx::files {

Pages::Pages(Pages&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)),
      length_(std::exchange(other.length_, 0)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(length_, other.length_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

namespace {
std::atomic<std::int64_t> count{0};  // of all that are mapped
}

Pages::~Pages() {
  if (start_ == nullptr) return;
  ::munmap(start_, length_);
  count.fetch_sub(1, std::memory_order_relaxed);
}

void Pages::expect_writing() {
#if defined(MADV_POPULATE_WRITE)
  if (start_ != nullptr) ::madvise(start_, length_, MADV_POPULATE_WRITE);
#endif
}

bool Pages::have_room() {
  constexpr std::int64_t kMost = 16384;  // a quarter of what Linux usually allows
  return count.load(std::memory_order_relaxed) < kMost;
}

void Pages::take(void* start, std::size_t length) {
  start_ = start;
  length_ = length;
  count.fetch_add(1, std::memory_order_relaxed);
}

Pages Pages::of_memory(std::size_t size) {
  Pages pages;
  if (size == 0) return pages;
  constexpr std::size_t kBefore = 64;  // as the elements of .npy files are aligned
  static_assert(kBefore >= kHeadroom);
  if (size > std::numeric_limits<std::size_t>::max() - kBefore) throw std::bad_alloc();
  void* const memory =
      ::mmap(nullptr, kBefore + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  pages.take(memory, kBefore + size);
  pages.data_ = static_cast<std::byte*>(memory) + kBefore;
  pages.size_ = size;
  return pages;
}

MappedFile::MappedFile(std::filesystem::path path, std::string_view op)
    : path_(std::move(path)), op_(op) {
  const auto refuse = [&](const std::string& why, int error) {
    if (file_ >= 0) ::close(file_);
    const std::string text = fmt::format("[{}] {} can't be read: {}", op_, path_.string(), why);
    if (error == 0) throw ArgumentError(text);
    throw FileError(text, "read file", path_.string(), error);
  };
  const auto refuse_by_system = [&] { refuse(std::strerror(errno), errno); };
  // A pipe would wait here for somebody who writes.
  file_ = open_descriptor(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) refuse_by_system();
  struct stat status;
  if (::fstat(file_, &status) != 0) refuse_by_system();
  if (S_ISDIR(status.st_mode)) refuse("it is a folder", EISDIR);
  if (!S_ISREG(status.st_mode)) refuse("it is no regular file", 0);
  size_ = static_cast<std::uint64_t>(status.st_size);
  try {
    whole_ = pages(0, size_);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

MappedFile::~MappedFile() { ::close(file_); }

void MappedFile::forget(std::uint64_t offset, std::uint64_t size) const {
  if (size == 0) return;
  // Pages at both ends may hold what somebody else looks at; those are few.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(whole_.bytes().data()) + offset;
  const std::uintptr_t start = (first + page - 1) / page * page, end = (first + size) / page * page;
  if (start < end) ::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

Pages MappedFile::pages(std::uint64_t offset, std::uint64_t size) const {
  Pages pages;
  if (size == 0) return pages;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t before = offset - std::min<std::uint64_t>(offset, Pages::kHeadroom);
  const std::uint64_t start = before - before % page;
  const std::size_t length = offset - start + size;
  // Hardly any page is ever written, so that files may be larger than memory.
  void* const memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                              file_, static_cast<off_t>(start));
  if (memory == MAP_FAILED) {
    throw ArgumentError(fmt::format("[{}] {} can't be brought into memory: {}", op_, path_.string(),
                                    std::strerror(errno)));
  }
  pages.take(memory, length);
  pages.data_ = static_cast<std::byte*>(memory) + (offset - start);
  pages.size_ = size;
  return pages;
}

std::string read_text(const std::filesystem::path& path, std::string_view op) {
  const MappedFile file(path, op);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace mlxnx::files
