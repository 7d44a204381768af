#include "files/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "files/file_errors.h"
#include "files/utf8.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are written as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionBytes = 2;
constexpr std::size_t kNpyAlignment = 64;
constexpr std::size_t kMostNpyHeaderBytes = 1 << 20;
constexpr std::size_t kMostNpyDimensions = 64;  // numpy's own limit

// numpy's names without the byte order.
constexpr std::array<std::pair<std::string_view, StoredType>, 13> kTypes = {{
    {"b1", StoredType::kBool},
    {"u1", StoredType::kU8},
    {"u2", StoredType::kU16},
    {"u4", StoredType::kU32},
    {"u8", StoredType::kU64},
    {"i1", StoredType::kS8},
    {"i2", StoredType::kS16},
    {"i4", StoredType::kS32},
    {"i8", StoredType::kS64},
    {"f2", StoredType::kF16},
    {"f4", StoredType::kF32},
    {"f8", StoredType::kF64},
    {"c8", StoredType::kC64},
}};

std::size_t length_bytes(std::span<const std::byte> start) {
  return start[kMagic.size()] == std::byte{1} ? 2 : 4;
}

std::string shown(const NpyHeader& header) {
  return to_string(TensorType{*row_of(header.type).dtype, header.shape});
}

// Reads the header: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`. Knows of Python
// only what such a dictionary needs, so nothing in it can nest.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  NpyHeader parse() {
    std::optional<std::string_view> descr;
    std::optional<std::string_view> order;
    std::optional<Shape> shape;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        if (peek() == '[') throw UnsupportedError("structured elements are not supported");
        descr = quoted();
      } else if (key == "fortran_order" && !order) {
        order = word();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse(fmt::format("its header has {:?} {}", cut(std::string(key)),
                           is_key(key) ? "twice" : "besides"));
      }
      if (!take(',') && peek() != '}') refuse("its header is no dictionary");
    }
    skip_space();
    if (!rest_.empty()) refuse("its header goes on after the dictionary");
    if (!descr || !order || !shape) refuse("its header lacks descr, fortran_order or shape");
    NpyHeader header = type_of(*descr);
    if (*order != "True" && *order != "False") refuse("fortran_order is neither True nor False");
    header.is_column_major = *order == "True";
    header.shape = std::move(*shape);
    return header;
  }

 private:
  static bool is_key(std::string_view key) {
    return key == "descr" || key == "fortran_order" || key == "shape";
  }
  static NpyHeader type_of(std::string_view descr) {
    NpyHeader header;
    const std::string_view name = descr.substr(std::min<std::size_t>(descr.size(), 1));
    if (descr.empty() || std::string_view("<>=|").find(descr[0]) == std::string_view::npos)
      refuse(fmt::format("{:?} is no element type", cut(std::string(descr))));
    if (name.starts_with('O')) refuse("its elements are Python objects, which are never loaded");
    const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                     [name](const auto& entry) { return entry.first == name; });
    if (found == kTypes.end())
      throw UnsupportedError(
          fmt::format("elements of numpy's type {:?} are not supported", cut(std::string(descr))));
    header.type = found->second;
    header.is_big_endian = descr[0] == '>';
    return header;
  }

  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }
  // The next character, `\0` at the end.
  char peek() {
    skip_space();
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool take(char wanted) {
    if (peek() != wanted || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) refuse(fmt::format("its header lacks a {:?}", wanted));
  }
  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse("its header has no text where one belongs");
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) refuse("a text in its header has no end");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string_view word() {
    skip_space();
    const std::size_t end = std::min(rest_.find_first_of(" \t\r\n,}"), rest_.size());
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return text;
  }
  // `()`, `(4,)`, `(2, 3)`; in Python `(4)` is no tuple.
  Shape tuple() {
    if (!take('(')) refuse("its shape is no tuple");
    Shape shape;
    bool comma = true;
    while (!take(')')) {
      if (!comma) refuse("its shape is no tuple");
      if (shape.size() == kMostNpyDimensions)
        refuse(fmt::format("it has more than {} dimensions", kMostNpyDimensions));
      shape.push_back(count());
      comma = take(',');
    }
    if (shape.size() == 1 && !comma) refuse("its shape is no tuple");
    return shape;
  }
  std::int64_t count() {
    skip_space();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc() || number < 0) refuse("a dimension is not a count of 63 bits");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 wrote it
    return number;
  }

  std::string_view rest_;
};

}  // namespace

std::size_t npy_header_size(std::span<const std::byte> start) {
  constexpr std::size_t kBefore = kMagic.size() + kVersionBytes;
  if (start.size() < kBefore || !as_text(start).starts_with(kMagic))
    throw FormatError("it is no .npy file");
  const int major = std::to_integer<int>(start[kMagic.size()]);
  const int minor = std::to_integer<int>(start[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0)
    throw FormatError(fmt::format("version {}.{} of the format is not known", major, minor));
  if (start.size() < kBefore + length_bytes(start)) throw FormatError("its header is cut off");
  std::uint32_t length = 0;
  std::memcpy(&length, start.data() + kBefore, length_bytes(start));
  if (length > kMostNpyHeaderBytes)
    throw FormatError(
        fmt::format("a header of {} bytes; {} are the most", length, kMostNpyHeaderBytes));
  return kBefore + length_bytes(start) + length;
}

NpyHeader parse_npy_header(std::span<const std::byte> header) {
  const std::size_t size = npy_header_size(header);
  if (header.size() < size) throw FormatError("its header is cut off");
  const std::size_t before = kMagic.size() + kVersionBytes + length_bytes(header);
  NpyHeader parsed = HeaderParser(as_text(header.subspan(before, size - before))).parse();
  parsed.size = size;
  parsed.bytes = stored_bytes(parsed.type, parsed.shape);
  return parsed;
}

NpyHeader parse_npy(std::span<const std::byte> file) {
  const NpyHeader header = parse_npy_header(file);
  check_npy_bytes(header, file.size() - header.size);
  return header;
}

void check_npy_bytes(const NpyHeader& header, std::uint64_t bytes) {
  if (bytes < header.bytes)
    throw FormatError(
        fmt::format("{} takes {} bytes, it has {}", shown(header), header.bytes, bytes));
  if (bytes > header.bytes)
    throw FormatError(fmt::format("more follows the {} bytes of {}", header.bytes, shown(header)));
}

void make_native(const NpyHeader& header, std::span<std::byte> elements) {
  const StoredTypeRow& row = row_of(header.type);
  if (header.type == StoredType::kBool) {
    for (std::byte& element : elements)
      if (element > std::byte{1}) element = std::byte{1};
  }
  const std::size_t width = header.type == StoredType::kC64 ? row.block_bytes / 2 : row.block_bytes;
  if (!header.is_big_endian || width == 1) return;
  for (std::size_t at = 0; at < elements.size(); at += width)
    std::ranges::reverse(elements.subspan(at, width));
}

std::string npy_header(const TensorType& type) {
  constexpr std::size_t kMostDigits = 21;
  const StoredType stored = stored_type(type.dtype);
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const auto& entry) { return entry.second == stored; });
  if (found == kTypes.end())
    throw UnsupportedError(
        fmt::format("numpy has no type {}; cast the tensor to f32", name(type.dtype)));
  if (type.shape.size() > kMostNpyDimensions)
    throw UnsupportedError(fmt::format("numpy has at most {} dimensions, {} has {}",
                                       kMostNpyDimensions, to_string(type), type.shape.size()));
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 size_bytes(type.dtype) == 1 ? '|' : '<', found->first,
                                 fmt::join(type.shape, ", "), type.shape.size() == 1 ? "," : "");
  // The room that numpy leaves for the first dimension to grow.
  if (!type.shape.empty()) text.append(kMostDigits - std::to_string(type.shape[0]).size(), ' ');
  std::string header(kMagic);
  header += {'\x01', '\x00'};
  const std::size_t before = header.size() + 2;
  text.append(kNpyAlignment - (before + text.size() + 1) % kNpyAlignment, ' ');
  text += '\n';
  header += {static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace mlxnx::files
