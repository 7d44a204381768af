// A file that takes its place only once it is whole and on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "files/partial.h"

namespace mlxnx::files {

/// Writes beside the place into a file with the suffix `.partial`. Without `commit` nothing is left
/// of it, and what stands in its place stays. Where a symbolic link stands, its target is the
/// place. What is no regular file, a device or a pipe, can't be replaced and is written into.
class AtomicFile {
 public:
  /// `op` opens the errors' text. Throws here and below: ArgumentError, with the file's name, when
  /// it can't be written.
  AtomicFile(std::filesystem::path path, std::string_view op);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Over what is written already, or behind it.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Zeros up to the next multiple of `alignment`.
  void pad(std::uint64_t alignment);
  std::uint64_t size() const { return size_; }
  void commit();

 private:
  [[noreturn]] void refuse(int error) const;
  std::filesystem::path path_;
  std::filesystem::path place_;
  Partial partial_;  ///< none where the place is written into
  std::string_view op_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

/// A whole file at once.
void write_file(const std::filesystem::path& path, std::string_view text, std::string_view op);

}  // namespace mlxnx::files
