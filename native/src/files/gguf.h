// The GGUF format, versions 2 and 3: the numbers of tensors and of keys, the keys with their
// values, what is said of each tensor, and, from the next multiple of an alignment on, elements.
// Lengths are 64 bits, everything is little-endian, and dimensions stand innermost first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/stored.h"

namespace mlxnx::files {

/// The types of values, by the format's numbers.
enum class GgufType : std::uint32_t {
  kU8 = 0,
  kS8 = 1,
  kU16 = 2,
  kS16 = 3,
  kU32 = 4,
  kS32 = 5,
  kF32 = 6,
  kBool = 7,
  kText = 8,
  kList = 9,
  kU64 = 10,
  kS64 = 11,
  kF64 = 12,
};

/// Tensors have at most as many dimensions.
inline constexpr std::size_t kMostGgufRank = 4;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr std::uint32_t kUsualGgufAlignment = 32;

/// A value as it lies in the file, which it does not outlive. What reads it by a type that it does
/// not have throws FormatError with the key.
class GgufValue {
 public:
  std::string_view key() const { return key_; }
  GgufType type() const { return type_; }
  /// How the value reads in an error's text, cut where it is long.
  std::string shown() const;

  std::string_view as_text() const;  ///< whatever bytes: nothing demands UTF-8 of a value
  bool as_boolean() const;
  std::int64_t as_integer() const;   ///< of any integer type
  std::uint64_t as_natural() const;  ///< of any integer type, where it is not negative
  double as_number() const;          ///< of any float or integer type; integers may be rounded

  /// Lists. Items of integer types and floats may be read as those above.
  GgufType item_type() const;
  std::uint64_t size() const;
  std::vector<std::string_view> as_texts() const;
  std::vector<bool> as_booleans() const;
  std::vector<std::int64_t> as_integers() const;
  std::vector<double> as_numbers() const;
  std::vector<GgufValue> as_lists() const;
  /// The items as they lie there, not aligned; they are numbers or booleans.
  std::span<const std::byte> as_bytes() const;

  /// The value as it is encoded behind its type.
  std::span<const std::byte> encoded() const;

 private:
  friend class GgufFile;
  friend class GgufCursor;
  [[noreturn]] void refuse(std::string_view wanted) const;
  std::string_view key_;
  GgufType type_ = GgufType::kU8;
  std::span<const std::byte> bytes_;  ///< from the value on to the end of the file
};

/// What stands before the elements. Values are read when they are asked for: only where each key
/// lies is kept.
class GgufFile {
 public:
  std::uint32_t version = 0;
  std::uint32_t alignment = kUsualGgufAlignment;
  /// In the order in which the file names them. Offsets are multiples of the alignment.
  std::vector<StoredTensor> tensors;

  /// How many keys there are, and the value of each in the order of the file.
  std::size_t size() const { return keys_.size(); }
  GgufValue value(std::size_t index) const { return value_at(keys_[index]); }
  /// The value of a key, or nothing.
  std::optional<GgufValue> find(std::string_view key) const;
  /// The value of a key. Throws: FormatError where there is none.
  GgufValue at(std::string_view key) const;

 private:
  friend class GgufParser;
  GgufValue value_at(std::uint64_t key) const;
  std::span<const std::byte> file_;
  std::vector<std::uint64_t> keys_;           ///< where they lie
  std::vector<std::uint64_t> keys_in_order_;  ///< the same, ordered by key
};

/// What the GGUF file says whose bytes are given; they must stay where they are as long as its
/// values are read. Each tensor lies in the file, and no byte belongs to two. Tensors have elements
/// and at most 4 dimensions; keys and names are UTF-8 without NUL and stand once.
/// Throws: FormatError for anything else; UnsupportedError for other versions, big-endian files,
/// more than 65536 keys or tensors, and element types that are not in kStoredTypes.
GgufFile parse_gguf(std::span<const std::byte> file);

}  // namespace mlxnx::files
