// numpy's format of several arrays (.npz): a zip archive whose members are .npy files. Every
// function throws UnsupportedError where this library was built without libzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "files/atomic_file.h"
#include "files/npy.h"

namespace mlxnx::files {

inline constexpr std::size_t kMostNpzMembers = 10'000;

/// An array of an archive.
struct NpzMember {
  std::string name;  ///< without ".npy"; names are no paths
  NpyHeader header;
  std::uint64_t index = 0;
};

/// The arrays of an archive, whose elements are not read yet.
class NpzReader {
 public:
  /// `file` is all of it, and stays.
  /// Throws: FormatError for anything but an archive of .npy files with names of their own, each as
  /// long as its header says; UnsupportedError for what MLX lacks, and for members that are
  /// encrypted or compressed by other methods than deflate.
  explicit NpzReader(std::span<const std::byte> file);
  ~NpzReader();

  std::span<const NpzMember> members() const;
  /// Fills `elements`, which are as long as the member's, as they are stored.
  /// Throws: FormatError for what is cut off, longer, or not what its checksum says.
  void read(const NpzMember& member, std::span<std::byte> elements) const;

 private:
  struct Archive;
  std::unique_ptr<Archive> archive_;
};

/// An array to be written.
struct NpzArray {
  std::string name;
  TensorType type;
};

/// Writes an archive into `file`. `elements` answers those of the array at a position, for each
/// array once; they stay until it is called again. The same arrays make the same bytes.
/// Throws: ArgumentError for names that are not UTF-8 or hold a NUL, UnsupportedError for more than
/// kMostNpzMembers.
void write_npz(AtomicFile& file, std::span<const NpzArray> arrays, bool is_compressed,
               const std::function<std::span<const std::byte>(std::size_t)>& elements);

}  // namespace mlxnx::files
