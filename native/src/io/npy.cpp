#include "io/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/ops/shape.h"

namespace mlxnx::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are written as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMostHeaderBytes = 1 << 20;
constexpr std::size_t kMostDimensions = 64;  // numpy's own limit

// numpy's names without the byte order. The first one of a type is the one that is written.
constexpr std::array<std::pair<std::string_view, DType>, 13> kTypes = {{
    {"u1", DType::u8},
    {"u2", DType::u16},
    {"u4", DType::u32},
    {"u8", DType::u64},
    {"i1", DType::s8},
    {"i2", DType::s16},
    {"i4", DType::s32},
    {"i8", DType::s64},
    {"f2", DType::f16},
    {"f4", DType::f32},
    {"f8", DType::f64},
    {"c8", DType::c64},
    {"b1", DType::u8},
}};

struct Header {
  TensorType type;
  bool is_bool = false;
  bool is_big_endian = false;
  bool is_column_major = false;
};

// Reads the header: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`. Knows of Python
// only what such a dictionary needs, so nothing in it can nest.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Header parse() {
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
        refuse(fmt::format("its header has {:?} {}", key, is_key(key) ? "twice" : "besides"));
      }
      if (!take(',') && peek() != '}') refuse("its header is no dictionary");
    }
    skip_space();
    if (!rest_.empty()) refuse("its header goes on after the dictionary");
    if (!descr || !order || !shape) refuse("its header lacks descr, fortran_order or shape");
    Header header = type_of(*descr);
    if (*order != "True" && *order != "False") refuse("fortran_order is neither True nor False");
    header.is_column_major = *order == "True";
    header.type.shape = std::move(*shape);
    return header;
  }

 private:
  [[noreturn]] static void refuse(const std::string& what) { throw FormatError(what); }
  static bool is_key(std::string_view key) {
    return key == "descr" || key == "fortran_order" || key == "shape";
  }

  static Header type_of(std::string_view descr) {
    Header header;
    const std::string_view name = descr.substr(std::min<std::size_t>(descr.size(), 1));
    if (descr.empty() || std::string_view("<>=|").find(descr[0]) == std::string_view::npos)
      refuse(fmt::format("{:?} is no element type", descr));
    if (name.starts_with('O')) refuse("its elements are Python objects, which are never loaded");
    const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                     [name](const auto& entry) { return entry.first == name; });
    if (found == kTypes.end())
      throw UnsupportedError(fmt::format("elements of numpy's type {:?} are not supported", descr));
    header.type.dtype = found->second;
    header.is_bool = name == "b1";
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
      if (shape.size() == kMostDimensions)
        refuse(fmt::format("it has more than {} dimensions", kMostDimensions));
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

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

[[noreturn]] void fail(const char* what, const std::filesystem::path& path, int error) {
  throw ArgumentError(
      fmt::format("[npy] can't {} {}: {}", what, path.string(), std::strerror(error)));
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) fail("read", path, errno);
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored))
      size_ = std::filesystem::file_size(path, ignored);
  }

  Tensor read() {
    const Header header = HeaderParser(as_text(header_bytes())).parse();
    const TensorType& type = header.type;
    const std::size_t item = size_bytes(type.dtype);
    std::int64_t count = 0;
    try {
      count = element_count(type.shape);
    } catch (const ShapeError&) {
      throw FormatError(to_string(type) + " has more elements than can be counted");
    }
    if (static_cast<std::uint64_t>(count) > SIZE_MAX / 2 / item)
      throw FormatError(to_string(type) + " has more bytes than can be counted");
    const std::size_t wanted = static_cast<std::size_t>(count) * item;
    std::vector<std::byte> elements = take(wanted);
    if (elements.size() < wanted)
      throw FormatError(
          fmt::format("{} takes {} bytes, it has {}", to_string(type), wanted, elements.size()));
    if (!take(1).empty())
      throw FormatError(fmt::format("more follows the {} bytes of {}", wanted, to_string(type)));
    if (header.is_bool) make_bools(elements);
    if (header.is_big_endian) swap_bytes(elements, is_complex(type.dtype) ? item / 2 : item);
    return header.is_column_major ? from_columns(elements, type)
                                  : Tensor::from_bytes(elements, type);
  }

 private:
  static std::string_view as_text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::vector<std::byte> header_bytes() {
    constexpr std::size_t kVersionBytes = 2;
    const std::vector<std::byte> start = take(kMagic.size() + kVersionBytes);
    if (start.size() < kMagic.size() + kVersionBytes || !as_text(start).starts_with(kMagic))
      throw FormatError("it is no .npy file");
    const int version = std::to_integer<int>(start[kMagic.size()]);
    if (version < 1 || version > 3 || start.back() != std::byte{0})
      throw FormatError(fmt::format("version {}.{} of the format is not known", version,
                                    std::to_integer<int>(start.back())));
    const std::size_t length_bytes = version == 1 ? 2 : 4;
    const std::vector<std::byte> length_field = take(length_bytes);
    if (length_field.size() < length_bytes) throw FormatError("its header is cut off");
    std::uint32_t length = 0;
    std::memcpy(&length, length_field.data(), length_field.size());
    if (length > kMostHeaderBytes)
      throw FormatError(
          fmt::format("a header of {} bytes; {} are the most", length, kMostHeaderBytes));
    std::vector<std::byte> header = take(length);
    if (header.size() < length) throw FormatError("its header is cut off");
    return header;
  }

  // The next `count` bytes, or what there is. Takes no more memory than the file has bytes.
  std::vector<std::byte> take(std::size_t count) {
    constexpr std::size_t kStep = 1 << 24;
    std::vector<std::byte> bytes;
    if (size_)
      count = std::min(count, static_cast<std::size_t>(*size_ - std::min(*size_, position_)));
    while (bytes.size() < count) {
      const std::size_t before = bytes.size();
      // What is no regular file does not tell its size.
      bytes.resize(size_ ? count : std::min(count, std::max(kStep, 2 * before)));
      errno = 0;
      const std::size_t got =
          std::fread(bytes.data() + before, 1, bytes.size() - before, file_.get());
      const bool ended = before + got < bytes.size();
      bytes.resize(before + got);
      if (std::ferror(file_.get()) != 0) fail("read", path_, errno);
      if (ended) break;
    }
    position_ += bytes.size();
    return bytes;
  }

  static void make_bools(std::span<std::byte> elements) {
    for (std::byte& element : elements) element = std::byte{element != std::byte{0}};
  }
  static void swap_bytes(std::span<std::byte> elements, std::size_t width) {
    for (std::size_t at = 0; at < elements.size(); at += width)
      std::reverse(elements.begin() + static_cast<std::ptrdiff_t>(at),
                   elements.begin() + static_cast<std::ptrdiff_t>(at + width));
  }
  static Tensor from_columns(std::span<const std::byte> elements, const TensorType& type) {
    TensorType turned = type;
    std::reverse(turned.shape.begin(), turned.shape.end());
    const DeviceScope cpu(Device::kCpu);  // a GPU has no f64
    return transpose(Tensor::from_bytes(elements, turned));
  }

  const std::filesystem::path& path_;
  File file_;
  std::optional<std::uintmax_t> size_;
  std::uintmax_t position_ = 0;
};

// The text of the header with the room that numpy leaves for the first dimension to grow.
std::string header_text(const TensorType& type) {
  constexpr std::size_t kMostDigits = 21;
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const auto& entry) { return entry.second == type.dtype; });
  if (found == kTypes.end())
    throw UnsupportedError(
        fmt::format("[npy] numpy has no type {}; cast the tensor to f32", name(type.dtype)));
  if (type.shape.size() > kMostDimensions)
    throw UnsupportedError(fmt::format("[npy] numpy has at most {} dimensions, {} has {}",
                                       kMostDimensions, to_string(type), type.shape.size()));
  std::string shape;
  for (const std::int64_t dimension : type.shape)
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", dimension);
  if (type.shape.size() == 1) shape += ",";
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                 size_bytes(type.dtype) == 1 ? '|' : '<', found->first, shape);
  if (!type.shape.empty()) text.append(kMostDigits - std::to_string(type.shape[0]).size(), ' ');
  return text;
}

}  // namespace

Tensor read_npy(const std::filesystem::path& path) {
  const auto named = [&](const std::exception& error) {
    return fmt::format("[npy] {}: {}", path.string(), error.what());
  };
  Reader reader(path);
  try {
    return reader.read();
  } catch (const FormatError& error) {
    throw FormatError(named(error));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(error));
  }
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  std::string start(kMagic);
  std::string header = header_text(tensor.type());
  const std::size_t before = kMagic.size() + 4;
  header.append(kAlignment - (before + header.size() + 1) % kAlignment, ' ');
  header += '\n';
  const std::size_t length = header.size();
  start += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  start += header;
  const TensorView view(tensor);
  File file(std::fopen(path.c_str(), "wb"));
  if (file == nullptr) fail("write", path, errno);
  bool written = std::fwrite(start.data(), 1, start.size(), file.get()) == start.size();
  const std::span<const std::byte> bytes = view.bytes();
  if (!bytes.empty())  // which has no address
    written = written && std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  int error = errno;
  if (std::fclose(file.release()) != 0) {
    written = false;
    error = errno;
  }
  if (!written) fail("write", path, error);
}

}  // namespace mlxnx::io
