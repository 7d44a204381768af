// numpy's format of one array (.npy): a magic, a header in the syntax of a Python dictionary, and
// the elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "files/stored.h"

namespace mlxnx::files {

/// What stands before the elements of an array.
struct NpyHeader {
  StoredType type = StoredType::kU8;
  Shape shape = {};
  bool is_big_endian = false;
  bool is_column_major = false;
  std::uint64_t size = 0;   ///< of the header in bytes: where the elements begin
  std::uint64_t bytes = 0;  ///< that the elements take
};

/// So many bytes of a file, or all of a shorter one, tell how long its header is.
inline constexpr std::size_t kNpyStart = 12;

/// The length of the header of a file that begins with `start`.
/// Throws: FormatError for what is no .npy file, or one of a version that is not known.
std::size_t npy_header_size(std::span<const std::byte> start);

/// What a header says; `header` is all of it, as long as `npy_header_size` answers, or what there
/// is. Throws: FormatError for a malformed one and for Python objects, UnsupportedError for element
/// types that MLX lacks.
NpyHeader parse_npy_header(std::span<const std::byte> header);

/// The same of a whole file, behind whose header stand the elements and nothing more.
NpyHeader parse_npy(std::span<const std::byte> file);

/// Throws: FormatError unless `bytes` of elements follow the header.
void check_npy_bytes(const NpyHeader& header, std::uint64_t bytes);

/// Makes elements as the header tells them what they are in memory: in its byte order, bools as 0
/// and 1. Writes only what changes.
void make_native(const NpyHeader& header, std::span<std::byte> elements);

/// The bytes that `numpy.save` writes before the elements of such an array, row by row.
/// Throws: UnsupportedError for bf16, which numpy lacks, and for more than 64 dimensions.
std::string npy_header(const TensorType& type);

}  // namespace mlxnx::files
