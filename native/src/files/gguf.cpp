#include "files/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "files/file_errors.h"
#include "files/ggml_types.h"
#include "files/gguf_cursor.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;         // length, key, type, value
constexpr std::uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;  // …, rank, type, offset

// `f()`, whose errors get the name of what it reads in front.
template <typename F>
auto naming(std::string_view kind, const std::string& name, F f) {
  const auto named = [&](const std::exception& error) {
    return fmt::format("{} {}: {}", kind, name, error.what());
  };
  try {
    return f();
  } catch (const FormatError& error) {
    throw FormatError(named(error));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(error));
  }
}

void check_name(std::string_view name) {
  if (const auto defect = defect_of_name(name); !defect.empty()) refuse(std::string(defect));
}

StoredType type_of_number(std::uint32_t number) {
  for (const GgmlType& type : kGgmlTypes) {
    if (type.number != number) continue;
    if (type.stored) return *type.stored;
    throw UnsupportedError(fmt::format("elements of ggml's type {} are not supported", type.name));
  }
  throw UnsupportedError(fmt::format("ggml's type of number {} is not known", number));
}

}  // namespace

class GgufParser {
 public:
  explicit GgufParser(std::span<const std::byte> file) : cursor_(file) { result_.file_ = file; }

  GgufFile parse() {
    check_version();
    const auto tensors = cursor_.number<std::uint64_t>("the number of tensors");
    const auto keys = cursor_.number<std::uint64_t>("the number of keys");
    check_count(keys, kLeastKeyBytes, "keys");
    check_count(tensors, kLeastTensorBytes, "tensors");
    read_keys(keys);
    read_alignment();
    result_.tensors.reserve(tensors);
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor(i);
    place_tensors();
    check_names();
    return std::move(result_);
  }

 private:
  void check_version() {
    if (cursor_.number<std::uint32_t>("the mark of GGUF files") != kGgufMagic)
      refuse("the file does not begin with GGUF");
    const auto version = cursor_.number<std::uint32_t>("the version");
    if ((version & 0xffff) == 0 && version != 0)
      throw UnsupportedError("the file is big-endian; only little-endian ones are supported");
    if (version != 2 && version != 3) {
      throw UnsupportedError(
          fmt::format("version {} of GGUF is not supported, versions 2 and 3 are", version));
    }
    result_.version = version;
  }

  void check_count(std::uint64_t count, std::uint64_t least_bytes, std::string_view what) const {
    if (count > cursor_.left() / least_bytes)
      refuse(fmt::format("{} {} in a file of {} bytes", count, what, result_.file_.size()));
    if (count > kMostGgufEntries) {
      throw UnsupportedError(fmt::format("{} {}; files of more than {} are not supported", count,
                                         what, kMostGgufEntries));
    }
  }

  void read_keys(std::uint64_t count) {
    result_.keys_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t start = cursor_.at();
      const std::string_view key =
          naming("key", std::to_string(i), [&] { return cursor_.text("its name"); });
      naming("key", shown(key), [&] {
        check_name(key);
        cursor_.skip(cursor_.type());
      });
      result_.keys_.push_back(start);
    }
    auto& ordered = result_.keys_in_order_;
    ordered = result_.keys_;
    const auto key_at = [&](std::uint64_t at) { return GgufCursor(result_.file_, at).text("key"); };
    std::ranges::sort(ordered, {}, key_at);
    const auto twice = std::ranges::adjacent_find(ordered, {}, key_at);
    if (twice != ordered.end()) refuse(fmt::format("key {} stands twice", shown(key_at(*twice))));
  }

  void read_alignment() {
    const auto value = result_.find(kGgufAlignmentKey);
    if (!value) return;
    if (value->type() != GgufType::kU32)
      refuse(fmt::format("{} is {}, not a u32", kGgufAlignmentKey, value->shown()));
    result_.alignment = static_cast<std::uint32_t>(value->as_integer());
    if (!std::has_single_bit(result_.alignment))
      refuse(fmt::format("{} {} is no power of two", kGgufAlignmentKey, result_.alignment));
  }

  void read_tensor(std::uint64_t index) {
    StoredTensor tensor;
    const std::string_view name =
        naming("tensor", std::to_string(index), [&] { return cursor_.text("its name"); });
    naming("tensor", shown(name), [&] {
      check_name(name);
      const auto rank = cursor_.number<std::uint32_t>("its rank");
      if (rank > kMostGgufRank)
        refuse(fmt::format("{} dimensions; there are at most {}", rank, kMostGgufRank));
      for (std::uint32_t i = 0; i < rank; ++i) {
        const auto dimension = cursor_.number<std::uint64_t>("a dimension");
        if (dimension == 0 || !std::in_range<std::int64_t>(dimension))
          refuse(fmt::format("a dimension of {}", dimension));
        tensor.shape.push_back(static_cast<std::int64_t>(dimension));
      }
      std::reverse(tensor.shape.begin(), tensor.shape.end());
      tensor.type = type_of_number(cursor_.number<std::uint32_t>("its type"));
      tensor.bytes = stored_bytes(tensor.type, tensor.shape);
      tensor.offset = cursor_.number<std::uint64_t>("its offset");
    });
    tensor.name = name;
    result_.tensors.push_back(std::move(tensor));
  }

  // Turns offsets from those among the elements into those in the file.
  void place_tensors() {
    auto& tensors = result_.tensors;
    const std::uint64_t padding =
        (result_.alignment - cursor_.at() % result_.alignment) % result_.alignment;
    const std::uint64_t available = cursor_.left() - std::min(cursor_.left(), padding);
    for (StoredTensor& tensor : tensors) {
      if (tensor.offset > available || tensor.bytes > available - tensor.offset) {
        refuse(fmt::format("tensor {}: {}{} has {} bytes from byte {} of {} bytes of elements on",
                           shown(tensor.name), row_of(tensor.type).name, to_string(tensor.shape),
                           tensor.bytes, tensor.offset, available));
      }
      if (tensor.offset % result_.alignment != 0) {
        refuse(fmt::format("tensor {} begins at byte {} of the elements, no multiple of {}",
                           shown(tensor.name), tensor.offset, result_.alignment));
      }
      tensor.offset += cursor_.at() + padding;
    }
    std::vector<const StoredTensor*> ordered = pointers();
    std::ranges::sort(ordered, {}, &StoredTensor::offset);
    const auto overlapping = std::ranges::adjacent_find(
        ordered, [](const StoredTensor* first, const StoredTensor* second) {
          return first->offset + first->bytes > second->offset;
        });
    if (overlapping == ordered.end()) return;
    const StoredTensor &first = **overlapping, &second = **(overlapping + 1);
    refuse(fmt::format("tensor {} has {} bytes from byte {} of the file on, tensor {} begins at {}",
                       shown(first.name), first.bytes, first.offset, shown(second.name),
                       second.offset));
  }

  void check_names() const {
    std::vector<const StoredTensor*> ordered = pointers();
    std::ranges::sort(ordered, {}, &StoredTensor::name);
    const auto twice = std::ranges::adjacent_find(ordered, {}, &StoredTensor::name);
    if (twice != ordered.end())
      refuse(fmt::format("tensor {} stands twice", shown((*twice)->name)));
  }

  std::vector<const StoredTensor*> pointers() const {
    std::vector<const StoredTensor*> pointers;
    pointers.reserve(result_.tensors.size());
    for (const StoredTensor& tensor : result_.tensors) pointers.push_back(&tensor);
    return pointers;
  }

  GgufCursor cursor_;
  GgufFile result_;
};

GgufValue GgufFile::value_at(std::uint64_t key) const {
  GgufCursor cursor(file_, key);
  GgufValue value;
  value.key_ = cursor.text("key");
  value.type_ = cursor.type();
  value.bytes_ = cursor.rest();
  return value;
}

std::optional<GgufValue> GgufFile::find(std::string_view key) const {
  const auto key_at = [&](std::uint64_t at) { return GgufCursor(file_, at).text("key"); };
  const auto found = std::ranges::lower_bound(keys_in_order_, key, {}, key_at);
  if (found == keys_in_order_.end() || key_at(*found) != key) return std::nullopt;
  return value_at(*found);
}

GgufValue GgufFile::at(std::string_view key) const {
  const auto found = find(key);
  if (!found) refuse(fmt::format("the file has no key {}", shown(key)));
  return *found;
}

GgufFile parse_gguf(std::span<const std::byte> file) { return GgufParser(file).parse(); }

}  // namespace mlxnx::files
