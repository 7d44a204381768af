#include "files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "files/file_errors.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kHeaderAlignment = 8;
constexpr std::size_t kMostHeaderBytes = 100'000'000;  // as other readers of the format
// A header's text takes little of what its tensors take, which is why they are bounded too.
constexpr std::size_t kMostTensors = 1 << 20;
constexpr std::size_t kMostDimensions = 255;
constexpr std::size_t kMostTextBytes = 1 << 25;

// The format's names of element types. The first one of a type is the one that is written.
constexpr std::array<std::pair<StoredType, std::string_view>, 18> kNames = {{
    {StoredType::kBool, "BOOL"},
    {StoredType::kU8, "U8"},
    {StoredType::kU16, "U16"},
    {StoredType::kU32, "U32"},
    {StoredType::kU64, "U64"},
    {StoredType::kS8, "I8"},
    {StoredType::kS16, "I16"},
    {StoredType::kS32, "I32"},
    {StoredType::kS64, "I64"},
    {StoredType::kF16, "F16"},
    {StoredType::kBF16, "BF16"},
    {StoredType::kF32, "F32"},
    {StoredType::kF64, "F64"},
    {StoredType::kC64, "C64"},
    {StoredType::kF8E4M3, "F8_E4M3"},
    {StoredType::kF8E5M2, "F8_E5M2"},
    {StoredType::kF8E8M0, "F8_E8M0"},
    {StoredType::kF8E4M3, "F8_E4M3FN"},
}};

// Where texts stand, beside the tensors.
constexpr std::string_view kMetadata = "__metadata__";

[[noreturn]] void refuse_twice(std::string_view name) {
  refuse(fmt::format("{:?} stands twice in the header", name));
}

// Reads the header as it goes by, so that it takes no more memory than its tensors do, however
// large or deep it is. A name that stands twice is seen, which a parsed object would hide.
class HeaderReader {
 public:
  HeaderReader(std::uint64_t data_start, std::uint64_t data_size, SafetensorsHeader& header)
      : data_start_(data_start), data_size_(data_size), header_(header) {}

  bool null() { return scalar("null"); }
  bool boolean(bool) { return scalar("a boolean"); }
  bool number_integer(std::int64_t number) { return scalar(std::to_string(number)); }
  bool number_float(double, const std::string& text) { return scalar(text); }
  bool binary(json::binary_t&) { return scalar("bytes"); }
  bool number_unsigned(std::uint64_t number) {
    if (place_ != Place::kList) return scalar(std::to_string(number));
    if (numbers_->size() == kMostDimensions)
      refuse_tensor(fmt::format("{} has more than {} numbers", key_, kMostDimensions));
    numbers_->push_back(number);
    return true;
  }
  bool string(std::string& text) {
    if (place_ == Place::kMetadata) {
      if (!header_.metadata.emplace(key_, std::move(text)).second)
        refuse(fmt::format("{} has {:?} twice", kMetadata, key_));
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      only_once(dtype_) = std::move(text);
    } else {
      return scalar(fmt::format("{:?}", text));
    }
    return true;
  }
  bool start_object(std::size_t) {
    switch (place_) {
      case Place::kOutside:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        place_ = key_ == kMetadata ? Place::kMetadata : Place::kTensor;
        if (place_ == Place::kMetadata && std::exchange(has_metadata_, true)) refuse_twice(key_);
        name_ = key_;
        dtype_.reset();
        shape_.reset();
        offsets_.reset();
        return true;
      default:
        return misplaced("an object");
    }
  }
  bool key(std::string& text) {
    key_ = std::move(text);
    return true;
  }
  bool end_object() {
    if (place_ == Place::kTop) {
      place_ = Place::kOutside;
      return true;
    }
    if (place_ == Place::kTensor) add_tensor();
    place_ = Place::kTop;
    return true;
  }
  bool start_array(std::size_t) {
    if (place_ == Place::kTensor && key_ == "shape") {
      numbers_ = &only_once(shape_);
    } else if (place_ == Place::kTensor && key_ == "data_offsets") {
      numbers_ = &only_once(offsets_);
    } else {
      return misplaced("a list");
    }
    place_ = Place::kList;
    return true;
  }
  bool end_array() {
    place_ = Place::kTensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    if (error.id == kOutOfRange) refuse("the header: a number in it is larger than any type holds");
    refuse(fmt::format("the header: no JSON from byte {} on", position));
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kList };
  static constexpr int kOutOfRange = 406;

  std::string here() const {
    return place_ == Place::kTensor || place_ == Place::kList
               ? fmt::format("tensor {:?}: {}", name_, key_)
           : place_ == Place::kMetadata ? fmt::format("{}, {:?}", kMetadata, key_)
           : place_ == Place::kTop      ? fmt::format("{:?}", key_)
                                        : "the header";
  }
  [[noreturn]] bool misplaced(std::string_view what) {
    refuse(fmt::format("{} is {}", here(), what));
  }
  // What the format has nothing to say about may stand beside what it knows of a tensor.
  bool scalar(const std::string& what) {
    const bool is_known = key_ == "dtype" || key_ == "shape" || key_ == "data_offsets";
    if (place_ == Place::kTensor && !is_known) return true;
    // MLX writes it so where it has nothing to say.
    if (place_ == Place::kTop && key_ == kMetadata && what == "null") {
      if (std::exchange(has_metadata_, true)) refuse_twice(key_);
      return true;
    }
    misplaced(cut(what));
  }

  template <typename T>
  T& only_once(std::optional<T>& value) const {
    if (value) refuse_tensor(key_ + " stands twice");
    return value.emplace();
  }

  [[noreturn]] void refuse_tensor(const std::string& what) const {
    refuse(fmt::format("tensor {:?}: {}", name_, what));
  }

  void add_tensor() {
    if (!dtype_ || !shape_ || !offsets_) refuse_tensor("it lacks dtype, shape or data_offsets");
    const auto* named = std::find_if(kNames.begin(), kNames.end(),
                                     [&](const auto& entry) { return entry.second == *dtype_; });
    if (named == kNames.end()) {
      throw UnsupportedError(
          fmt::format("tensor {:?}: element type {} is not supported", name_, cut(*dtype_)));
    }
    StoredTensor tensor{.name = name_, .type = named->first};
    for (const std::uint64_t dimension : *shape_) {
      if (!std::in_range<std::int64_t>(dimension))
        refuse_tensor(fmt::format("a dimension of {}", dimension));
      tensor.shape.push_back(static_cast<std::int64_t>(dimension));
    }
    if (offsets_->size() != 2) refuse_tensor("data_offsets are no pair");
    const std::uint64_t first = (*offsets_)[0], last = (*offsets_)[1];
    try {
      tensor.bytes = stored_bytes(tensor.type, tensor.shape);
    } catch (const FormatError& error) {
      refuse_tensor(error.what());
    }
    if (first > last || last > data_size_ || last - first != tensor.bytes) {
      refuse_tensor(fmt::format("{}{} lies at {} to {} of {} bytes", row_of(tensor.type).name,
                                cut(to_string(tensor.shape)), first, last, data_size_));
    }
    tensor.offset = data_start_ + first;
    if (header_.tensors.size() == kMostTensors)
      refuse(fmt::format("more than {} tensors", kMostTensors));
    header_.tensors.push_back(std::move(tensor));
  }

  std::uint64_t data_start_, data_size_;
  SafetensorsHeader& header_;
  Place place_ = Place::kOutside;
  std::string key_, name_;
  bool has_metadata_ = false;
  std::optional<std::string> dtype_;
  std::optional<std::vector<std::uint64_t>> shape_, offsets_;
  std::vector<std::uint64_t>* numbers_ = nullptr;
};

// How far two quotes are apart at most. The JSON library keeps the text, or the space, that it is
// in the midst of, and what it makes of it.
std::size_t longest_text(std::string_view header) {
  std::size_t longest = 0;
  std::size_t last = 0;
  for (std::size_t at = 0; at < header.size(); ++at) {
    if (header[at] == '\\')
      ++at;
    else if (header[at] == '"')
      longest = std::max(longest, at - std::exchange(last, at));
  }
  return std::max(longest, header.size() - last);
}

// Positions rather than a set of names, which would take as much memory as the tensors.
void check_names(std::span<const StoredTensor> tensors) {
  std::vector<std::uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto name_at = [&](std::uint32_t at) -> const std::string& { return tensors[at].name; };
  std::ranges::sort(order, {}, name_at);
  const auto twice = std::ranges::adjacent_find(order, {}, name_at);
  if (twice != order.end()) refuse_twice(name_at(*twice));
}

// No byte belongs to none of the tensors, or to two.
void check_places(std::vector<StoredTensor>& tensors, std::uint64_t start, std::uint64_t end) {
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  std::uint64_t at = start;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.offset != at) {
      refuse(fmt::format("tensor {:?} begins at byte {}, and the tensors before it end at {}",
                         tensor.name, tensor.offset - start, at - start));
    }
    at += tensor.bytes;
  }
  if (at != end)
    refuse(fmt::format("{} bytes of elements, and the tensors end at {}", end - start, at - start));
}

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) refuse(fmt::format("{} bytes are no file", file.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > std::min(file.size() - kLengthBytes, kMostHeaderBytes))
    refuse(
        fmt::format("a header of {} bytes in a file of {}: it is cut off, or no safetensors file",
                    length, file.size()));
  const std::uint64_t start = kLengthBytes + length;
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  SafetensorsHeader header;
  HeaderReader reader(start, file.size() - start, header);
  if (const std::size_t longest = longest_text({text, static_cast<std::size_t>(length)});
      longest > kMostTextBytes)
    refuse(fmt::format("the header: a text or space of {} bytes", longest));
  json::sax_parse(text, text + length, &reader);
  check_names(header.tensors);
  check_places(header.tensors, start, file.size());
  return header;
}

std::string safetensors_header(std::span<const StoredTensor> tensors, const Metadata& metadata) {
  check_names(tensors);
  // One at a time, so that many tensors take little memory beside the text.
  std::string text = "{";
  try {
    if (!metadata.empty()) text += fmt::format("\"{}\":{}", kMetadata, json(metadata).dump());
    std::uint64_t at = 0;
    for (const StoredTensor& tensor : tensors) {
      if (tensor.name == kMetadata) {
        throw UnsupportedError(
            fmt::format("tensor {:?}: the format keeps that name for texts", tensor.name));
      }
      const auto* named = std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) {
        return entry.first == tensor.type;
      });
      if (named == kNames.end()) {
        throw UnsupportedError(fmt::format("tensor {:?}: the format has no elements of type {}",
                                           tensor.name, row_of(tensor.type).name));
      }
      if (tensor.shape.size() > kMostDimensions) {
        throw UnsupportedError(fmt::format("tensor {:?}: {} dimensions, {} are the most",
                                           tensor.name, tensor.shape.size(), kMostDimensions));
      }
      text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          text.size() > 1 ? "," : "", json(tensor.name).dump(), named->second,
                          fmt::join(tensor.shape, ","), at, at + tensor.bytes);
      at += tensor.bytes;
    }
  } catch (const json::exception&) {
    throw ArgumentError("a name is not UTF-8");
  }
  text += '}';
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  if (text.size() > kMostHeaderBytes || tensors.size() > kMostTensors) {
    throw UnsupportedError(
        fmt::format("{} tensors with a header of {} bytes; {} and {} are the most", tensors.size(),
                    text.size(), kMostTensors, kMostHeaderBytes));
  }
  if (longest_text(text) > kMostTextBytes)
    throw UnsupportedError(fmt::format("a text of {} bytes in the header", longest_text(text)));
  const std::uint64_t length = text.size();
  std::string start(kLengthBytes, '\0');
  std::memcpy(start.data(), &length, kLengthBytes);
  return start + text;
}

}  // namespace mlxnx::files
