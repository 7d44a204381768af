#include "files/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "files/ggml_types.h"
#include "files/gguf_cursor.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr std::uint32_t kVersion = 3;

template <typename T>
constexpr GgufType type_of() {
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::kU8;
  if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::kS8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::kU16;
  if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::kS16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::kU32;
  if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::kS32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::kU64;
  if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::kS64;
  if constexpr (std::is_same_v<T, float>) return GgufType::kF32;
  if constexpr (std::is_same_v<T, double>) return GgufType::kF64;
  if constexpr (std::is_same_v<T, std::string>) return GgufType::kText;
}

class Encoder {
 public:
  template <typename T>
  void number(T number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void value(const std::string& text) {
    number(std::uint64_t{text.size()});
    bytes_ += text;
  }
  template <typename T>
  void value(T value) {
    number(value);
  }
  void data(const GgufData& data) {
    std::visit([this](const auto& value) { typed(value); }, data);
  }
  std::string& bytes() { return bytes_; }

 private:
  template <typename T>
  void typed(const T& value) {
    number(type_of<T>());
    this->value(value);
  }
  template <typename T>
  void typed(const std::vector<T>& items) {
    number(GgufType::kList);
    number(type_of<T>());
    number(std::uint64_t{items.size()});
    for (const auto& item : items) value(static_cast<const T&>(item));
  }
  void typed(const GgufValue& value) {
    number(value.type());
    const auto encoded = value.encoded();
    bytes_.append(reinterpret_cast<const char*>(encoded.data()), encoded.size());
  }

  std::string bytes_;
};

template <typename T>
void check_names(std::string_view kind, std::span<const T> named, std::string T::*member) {
  if (named.size() > kMostGgufEntries) {
    throw UnsupportedError(
        fmt::format("{} {}s; a file has at most {}", named.size(), kind, kMostGgufEntries));
  }
  std::unordered_set<std::string_view> seen;
  for (const T& each : named) {
    const std::string& name = each.*member;
    if (const auto defect = defect_of_name(name); !defect.empty())
      throw ArgumentError(fmt::format("{} {}: {}", kind, shown(name), defect));
    if (!seen.insert(name).second)
      throw ArgumentError(fmt::format("{} {} stands twice", kind, shown(name)));
  }
}

std::uint32_t alignment_of(std::span<const GgufEntry> metadata) {
  const auto entry = std::ranges::find(metadata, kGgufAlignmentKey, &GgufEntry::key);
  if (entry == metadata.end()) return kUsualGgufAlignment;
  std::uint32_t alignment = 0;
  if (const auto* number = std::get_if<std::uint32_t>(&entry->value)) alignment = *number;
  if (const auto* value = std::get_if<GgufValue>(&entry->value)) {
    if (value->type() == GgufType::kU32)
      alignment = static_cast<std::uint32_t>(value->as_integer());
  }
  if (!std::has_single_bit(alignment))
    throw ArgumentError(fmt::format("{} is no u32 that is a power of two", kGgufAlignmentKey));
  return alignment;
}

std::uint32_t ggml_number(const StoredTensor& tensor) {
  const auto* type = std::ranges::find(kGgmlTypes, tensor.type, &GgmlType::stored);
  if (type != kGgmlTypes.end()) return type->number;
  throw UnsupportedError(fmt::format("tensor {}: the format has no elements of type {}",
                                     shown(tensor.name), row_of(tensor.type).name));
}

std::uint64_t bytes_of(const StoredTensor& tensor) {
  if (tensor.shape.size() > kMostGgufRank || std::ranges::count(tensor.shape, 0) > 0) {
    throw UnsupportedError(
        fmt::format("tensor {}: the format has elements in at most {} dimensions, and none of {}",
                    shown(tensor.name), kMostGgufRank, to_string(tensor.shape)));
  }
  try {
    return stored_bytes(tensor.type, tensor.shape);
  } catch (const FormatError& error) {
    throw ArgumentError(fmt::format("tensor {}: {}", shown(tensor.name), error.what()));
  }
}

std::uint64_t aligned(std::uint64_t size, std::uint32_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

}  // namespace

std::string gguf_header(std::span<const GgufEntry> metadata,
                        std::span<const StoredTensor> tensors) {
  check_names("key", metadata, &GgufEntry::key);
  check_names("tensor", tensors, &StoredTensor::name);
  const std::uint32_t alignment = alignment_of(metadata);
  Encoder encoder;
  encoder.number(kGgufMagic);
  encoder.number(kVersion);
  encoder.number(std::uint64_t{tensors.size()});
  encoder.number(std::uint64_t{metadata.size()});
  for (const GgufEntry& entry : metadata) {
    encoder.value(entry.key);
    encoder.data(entry.value);
  }
  std::uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    encoder.value(tensor.name);
    const std::uint64_t bytes = bytes_of(tensor);
    encoder.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (std::size_t i = tensor.shape.size(); i > 0; --i)
      encoder.number(static_cast<std::uint64_t>(tensor.shape[i - 1]));
    encoder.number(ggml_number(tensor));
    encoder.number(offset);
    offset = aligned(offset + bytes, alignment);
  }
  return std::move(encoder.bytes());
}

void write_gguf(AtomicFile& file, std::span<const GgufEntry> metadata,
                std::span<const StoredTensor> tensors, const GgufElements& elements) {
  file.write(gguf_header(metadata, tensors));
  const std::uint32_t alignment = alignment_of(metadata);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = bytes_of(tensors[i]);
    file.pad(alignment);
    std::uint64_t given = 0;
    elements(i, [&](std::span<const std::byte> piece) {
      given += piece.size();
      file.write(piece);
    });
    if (given != bytes) {
      throw ArgumentError(fmt::format("tensor {}: {} bytes of elements, and it has {}",
                                      shown(tensors[i].name), given, bytes));
    }
    file.pad(alignment);  // behind the last one too, as ggml's reader demands
  }
}

}  // namespace mlxnx::files
