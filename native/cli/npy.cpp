#include "npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/error.h"

namespace mlxnx::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;

constexpr std::array<std::pair<std::string_view, DType>, 14> kTypes = {{
    {"|u1", DType::u8},
    {"<u2", DType::u16},
    {"<u4", DType::u32},
    {"<u8", DType::u64},
    {"|i1", DType::s8},
    {"<i2", DType::s16},
    {"<i4", DType::s32},
    {"<i8", DType::s64},
    {"<f2", DType::f16},
    {"<f4", DType::f32},
    {"<f8", DType::f64},
    {"<c8", DType::c64},
    {"|b1", DType::u8},
    {"<u1", DType::u8},
}};

class Header {
 public:
  Header(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  TensorType type() const {
    const std::string_view order = value("fortran_order");
    if (!order.starts_with("False")) refuse("its elements are in column-major order");
    const std::string_view quoted = value("descr");
    const std::size_t end = quoted.find('\'', 1);
    if (quoted.empty() || quoted[0] != '\'' || end == std::string_view::npos)
      refuse("its element type is no text");
    const std::string_view name = quoted.substr(1, end - 1);
    const auto* found = std::find_if(kTypes.begin(), kTypes.end(),
                                     [name](const auto& entry) { return entry.first == name; });
    if (found == kTypes.end()) refuse(fmt::format("numpy's type {} is not supported", name));
    return {found->second, shape()};
  }

 private:
  Shape shape() const {
    std::string_view rest = value("shape");
    if (rest.empty() || rest[0] != '(') refuse("its shape is no tuple");
    rest.remove_prefix(1);
    Shape shape;
    while (!rest.empty() && rest[0] != ')') {
      std::int64_t dimension = 0;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), dimension);
      if (error != std::errc() || dimension < 0) refuse("a dimension is no count");
      shape.push_back(dimension);
      rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
      rest.remove_prefix(std::min(rest.find_first_not_of(", "), rest.size()));
    }
    return shape;
  }

  // What stands behind a key of the header, which is the text of a Python dictionary.
  std::string_view value(std::string_view key) const {
    const std::size_t at = text_.find(fmt::format("'{}'", key));
    if (at == std::string_view::npos) refuse(fmt::format("its header has no {}", key));
    const std::size_t begin = text_.find_first_not_of(": ", at + key.size() + 2);
    return begin == std::string_view::npos ? std::string_view() : text_.substr(begin);
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw FormatError(fmt::format("[npy] {}: {}", path_.string(), what));
  }

  const std::filesystem::path& path_;
  std::string_view text_;
};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file.good() && !file.eof())
    throw ArgumentError(fmt::format("[npy] can't read {}", path.string()));
  return text;
}

}  // namespace

Tensor read_npy(const std::filesystem::path& path) {
  const std::string bytes = contents(path);
  const auto refuse = [&](const char* what) {
    return FormatError(fmt::format("[npy] {}: {}", path.string(), what));
  };
  constexpr std::size_t kShortest = 12;
  if (bytes.size() < kShortest || !bytes.starts_with(kMagic)) throw refuse("it is no .npy file");
  const bool is_first_version = bytes[kMagic.size()] == 1;
  const std::size_t length_bytes = is_first_version ? 2 : 4;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + kMagic.size() + 2, length_bytes);
  const std::size_t begin = kMagic.size() + 2 + length_bytes;
  if (length > bytes.size() - begin) throw refuse("its header is cut off");
  const TensorType type = Header(path, std::string_view(bytes).substr(begin, length)).type();
  const auto elements = std::as_bytes(std::span(bytes)).subspan(begin + length);
  try {
    return Tensor::from_bytes(elements, type);
  } catch (const ShapeError& error) {
    throw refuse(error.what());
  }
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& entry) {
    return entry.second == tensor.dtype();
  });
  if (found == kTypes.end())
    throw UnsupportedError(fmt::format("[npy] numpy has no type {}", name(tensor.dtype())));
  std::string shape;
  for (const std::int64_t dimension : tensor.shape()) shape += fmt::format("{}, ", dimension);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   found->first, shape);
  const std::size_t before = kMagic.size() + 4;
  header.append(kAlignment - (before + header.size() + 1) % kAlignment, ' ');
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string bytes(kMagic);
  bytes += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  bytes += header;
  const TensorView view(tensor);
  bytes.append(reinterpret_cast<const char*>(view.bytes().data()), view.bytes().size());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.flush();
  if (!file) throw ArgumentError(fmt::format("[npy] can't write {}", path.string()));
}

}  // namespace mlxnx::cli
