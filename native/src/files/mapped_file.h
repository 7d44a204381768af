// A file as memory: its pages are read when they are first looked at, and what is only opened costs
// no reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mlxnx::files {

/// Pages of a file in memory, given back at the end.
class Pages {
 public:
  Pages() = default;
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();
  /// Pages of no file, all zeros, which take memory once they are looked at.
  /// Throws: std::bad_alloc where there is no room for so many.
  static Pages of_memory(std::size_t size);

  /// Gives all of them memory at once, where the system can, since each will be written: that takes
  /// less time than one by one.
  void expect_writing();
  /// Whether the process has room for further ones: the system gives it some ten thousands in all.
  static bool have_room();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// The bytes, and kHeadroom before them, may be written: they are this process' own copy then.
  std::byte* data() { return data_; }
  static constexpr std::size_t kHeadroom = 16;

 private:
  friend class MappedFile;
  void take(void* start, std::size_t length);
  void* start_ = nullptr;
  std::size_t length_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A regular file that is open for reading. Whoever shortens the file meanwhile ends the process
/// that reads the missing pages: files are to be replaced, as AtomicFile does.
class MappedFile {
 public:
  /// `op` opens the errors' text. Throws: ArgumentError, with the file's name, when it can't be
  /// read or is no regular file.
  MappedFile(std::filesystem::path path, std::string_view op);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// The whole file.
  std::span<const std::byte> bytes() const { return whole_.bytes(); }
  /// `size` bytes from `offset` on as pages of their own, which outlive this object. The range lies
  /// in the file. Throws: ArgumentError when the system refuses.
  Pages pages(std::uint64_t offset, std::uint64_t size) const;
  /// Gives back the memory of bytes that are not needed soon; looking at them brings them again.
  void forget(std::uint64_t offset, std::uint64_t size) const;

 private:
  std::filesystem::path path_;
  std::string_view op_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  Pages whole_;
};

/// A whole file as a text. Throws: as MappedFile.
std::string read_text(const std::filesystem::path& path, std::string_view op);

}  // namespace mlxnx::files
