// GGUF files of version 3, written piece by piece: only what stands before the elements is ever
// held as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "files/atomic_file.h"
#include "files/gguf.h"
#include "files/stored.h"

namespace mlxnx::files {

/// A value that is to be written; one of another file is written as it is encoded there.
using GgufData =
    std::variant<bool, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                 std::int32_t, std::uint64_t, std::int64_t, float, double, std::string,
                 std::vector<bool>, std::vector<std::uint8_t>, std::vector<std::int8_t>,
                 std::vector<std::uint16_t>, std::vector<std::int16_t>, std::vector<std::uint32_t>,
                 std::vector<std::int32_t>, std::vector<std::uint64_t>, std::vector<std::int64_t>,
                 std::vector<float>, std::vector<double>, std::vector<std::string>, GgufValue>;

struct GgufEntry {
  std::string key;
  GgufData value;
};

/// Takes the bytes of elements, as many at a time as one likes.
using GgufSink = std::function<void(std::span<const std::byte>)>;
/// Gives the elements of the tensor of a number to `sink`, as its stored type has them.
using GgufElements = std::function<void(std::size_t tensor, const GgufSink& sink)>;

/// The bytes in front of the elements, and of the padding before them, of tensors that stand in
/// this order; each begins at a multiple of the alignment, which is the value of
/// `general.alignment`, or
/// 32. `offset` and `bytes` of the tensors are not looked at.
/// Throws: ArgumentError for names that are not UTF-8, empty, have a NUL or stand twice, for an
/// alignment that is none, and for rows that are no whole blocks; UnsupportedError for types that
/// the format lacks, more than 4 dimensions, tensors without elements, and too many of anything.
std::string gguf_header(std::span<const GgufEntry> metadata, std::span<const StoredTensor> tensors);

/// Writes a whole file into one that is empty; it is up to the caller to commit it. `elements` is
/// called for each tensor in turn.
/// Throws: as `gguf_header`, before anything is written; ArgumentError where `elements` gives more
/// or fewer bytes than the tensor has; what `elements` throws.
void write_gguf(AtomicFile& file, std::span<const GgufEntry> metadata,
                std::span<const StoredTensor> tensors, const GgufElements& elements);

}  // namespace mlxnx::files
