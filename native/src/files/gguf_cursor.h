// How GGUF files encode what stands before the elements, read and checked piece by piece.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "files/gguf.h"
#include "files/utf8.h"
#include "mlxnx/error.h"

namespace mlxnx::files {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"

/// Most keys, and most tensors, that a file may have: some fifty times what models have.
inline constexpr std::uint64_t kMostGgufEntries = 1 << 16;

/// Bytes of a value, or of an item of a list; 0 for texts and lists, which tell themselves.
constexpr std::size_t gguf_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kS8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kS16:
      return 2;
    case GgufType::kU32:
    case GgufType::kS32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kS64:
    case GgufType::kF64:
      return 8;
    default:
      return 0;
  }
}

/// `text` in quotes for an error's text, cut where it is long.
inline std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 100;
  return fmt::format("{:?}{}", text.substr(0, kMost), text.size() > kMost ? "…" : "");
}

/// What is wrong with the name of a key or a tensor; empty where nothing is.
inline std::string_view defect_of_name(std::string_view name) {
  if (name.empty()) return "an empty name";
  if (!is_utf8(name)) return "the name is not UTF-8";
  if (name.find('\0') != std::string_view::npos) return "a NUL in the name";
  return {};
}

/// Goes through the bytes from the first to the last. All functions throw FormatError where the
/// bytes end before what they read; `what` names that.
class GgufCursor {
 public:
  explicit GgufCursor(std::span<const std::byte> bytes, std::uint64_t at = 0)
      : bytes_(bytes), at_(at) {}

  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }
  std::span<const std::byte> rest() const { return bytes_.subspan(at_); }

  std::span<const std::byte> take(std::uint64_t size, std::string_view what) {
    if (size > left()) refuse(fmt::format("{} of {} bytes", what, size));
    const auto taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  template <typename T>
  T number(std::string_view what) {
    T number;
    std::memcpy(&number, take(sizeof number, what).data(), sizeof number);
    return number;
  }
  std::string_view text(std::string_view what) {
    const auto length = number<std::uint64_t>(what);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  GgufType type() {
    const auto number = this->number<std::uint32_t>("a type");
    if (number > static_cast<std::uint32_t>(GgufType::kF64))
      throw FormatError(fmt::format("type {} of values is none of the format", number));
    return static_cast<GgufType>(number);
  }

  struct ListHead {
    GgufType item;
    std::uint64_t count;
  };
  ListHead list_head();
  void skip(GgufType type);

 private:
  void skip_items(GgufType type, std::uint64_t count);
  [[noreturn]] void refuse(const std::string& what) const {
    throw FormatError(fmt::format("{} at byte {} of {}", what, at_, bytes_.size()));
  }
  std::span<const std::byte> bytes_;
  std::uint64_t at_;
};

}  // namespace mlxnx::files
