#include "program/tensor_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "mlxnx/error.h"
#include "program/json_values.h"

namespace mlxnx::program {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kMostHeaderBytes = 100'000'000;  // as other readers of the format
constexpr int kMostHeaderDepth = 4;

// The format's names of element types.
constexpr std::array<std::pair<DType, std::string_view>, 13> kNames = {{
    {DType::u8, "U8"},
    {DType::u16, "U16"},
    {DType::u32, "U32"},
    {DType::u64, "U64"},
    {DType::s8, "I8"},
    {DType::s16, "I16"},
    {DType::s32, "I32"},
    {DType::s64, "I64"},
    {DType::f16, "F16"},
    {DType::bf16, "BF16"},
    {DType::f32, "F32"},
    {DType::f64, "F64"},
    {DType::c64, "C64"},
}};

std::string_view file_name(DType type) {
  return std::find_if(kNames.begin(), kNames.end(),
                      [type](const auto& entry) { return entry.first == type; })
      ->second;
}

DType type_from_file(const std::string& name) {
  for (const auto& [type, text] : kNames) {
    if (text == name) return type;
  }
  throw UnsupportedError("[program] element type " + name + " is not supported");
}

[[noreturn]] void refuse(const std::string& what) { throw FormatError(what); }

// Where a tensor's elements lie in the data.
struct Place {
  std::size_t first;
  std::size_t last;
  std::string name;
  auto operator<=>(const Place&) const = default;
};

Tensor read_tensor(const std::string& name, const json& entry, std::span<const std::byte> data,
                   std::vector<Place>& places) {
  TensorType type;
  type.dtype = type_from_file(text_member(entry, "dtype"));
  for (const json& dimension : list_member(entry, "shape"))
    type.shape.push_back(integer<std::int32_t>(dimension));
  const json& offsets = member(entry, "data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) refuse(shown(offsets) + " is no pair of offsets");
  const auto first = integer<std::size_t>(offsets[0]);
  const auto last = integer<std::size_t>(offsets[1]);
  const auto count = static_cast<std::size_t>(element_count(type.shape));
  const bool fits = first <= last && last <= data.size() &&
                    (last - first) / size_bytes(type.dtype) == count &&
                    (last - first) % size_bytes(type.dtype) == 0;
  if (!fits) {
    refuse(
        fmt::format("{} lies at {} to {} of {} bytes", to_string(type), first, last, data.size()));
  }
  places.push_back({first, last, name});
  return Tensor::from_bytes(data.subspan(first, last - first), type);
}

// The format has the tensors stand behind each other: no byte belongs to none of them, or to two.
void check_places(std::vector<Place> places, std::size_t size) {
  std::sort(places.begin(), places.end());
  std::size_t end = 0;
  for (const Place& place : places) {
    if (place.first != end) {
      refuse(fmt::format("{} begins at byte {}, and the tensors before it end at {}", place.name,
                         place.first, end));
    }
    end = place.last;
  }
  if (end != size)
    refuse(fmt::format("{} bytes of elements, and the tensors end at {}", size, end));
}

TensorFile read(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) refuse(fmt::format("{} bytes are no file", bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > std::min(bytes.size() - kLengthBytes, kMostHeaderBytes))
    refuse(fmt::format("a header of {} bytes in a file of {}", length, bytes.size()));
  const auto* start = reinterpret_cast<const char*>(bytes.data() + kLengthBytes);
  json header;
  try {
    header = parse_json({start, static_cast<std::size_t>(length)}, kMostHeaderDepth);
  } catch (const FormatError& error) {
    refuse(std::string("the header: ") + error.what());
  }
  if (!header.is_object()) refuse("the header is no object");
  const std::span data = bytes.subspan(kLengthBytes + length);
  TensorFile file;
  std::vector<Place> places;
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") {
      try {
        file.tensors.emplace(name, read_tensor(name, entry, data, places));
      } catch (const FormatError& error) {
        throw FormatError("tensor " + name + ": " + error.what());
      }
      continue;
    }
    if (!entry.is_object()) refuse("__metadata__ is no object");
    for (const auto& [key, value] : entry.items()) file.metadata.emplace(key, text(value));
  }
  check_places(std::move(places), data.size());
  return file;
}

}  // namespace

std::vector<std::byte> to_bytes(const TensorFile& file) {
  json header = json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::size_t at = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const Shape& shape = tensor.shape();
    header[name] = {{"dtype", file_name(tensor.dtype())},
                    {"shape", std::vector(shape.begin(), shape.end())},
                    {"data_offsets", {at, at + tensor.byte_size()}}};
    at += tensor.byte_size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw ArgumentError("[program] a name is not UTF-8");
  }
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kMostHeaderBytes)
    throw UnsupportedError(fmt::format("[program] the header would have {} bytes", text.size()));
  std::vector<std::byte> bytes(kLengthBytes + text.size() + at);
  const std::uint64_t length = text.size();
  std::memcpy(bytes.data(), &length, kLengthBytes);
  std::memcpy(bytes.data() + kLengthBytes, text.data(), text.size());
  std::size_t position = kLengthBytes + text.size();
  for (const auto& [name, tensor] : file.tensors) {
    tensor.read(std::span(bytes).subspan(position, tensor.byte_size()));
    position += tensor.byte_size();
  }
  return bytes;
}

TensorFile tensor_file_from_bytes(std::span<const std::byte> bytes) {
  try {
    return read(bytes);
  } catch (const FormatError& error) {
    throw FormatError(std::string("[program] ") + error.what());
  } catch (const ArgumentError& error) {
    throw FormatError(std::string("[program] ") + error.what());
  }
}

}  // namespace mlxnx::program
