// numpy's files: .npy, and .npz, which are archives of them.
#include "files/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/atomic_file.h"
#include "files/file_errors.h"
#include "files/mapped_file.h"
#include "files/npz.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/ops/shape.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

constexpr std::string_view kNpy = "npy";
constexpr std::string_view kNpz = "npz";

// What `make` makes of the elements row by row.
template <typename F>
Tensor in_order(const files::NpyHeader& header, F make) {
  TensorType type{*files::row_of(header.type).dtype, header.shape};
  if (!header.is_column_major) return make(type);
  std::ranges::reverse(type.shape);
  const DeviceScope cpu(Device::kCpu);  // a GPU has no f64
  return transpose(make(type));
}

Tensor from_elements(const files::NpyHeader& header, files::Pages pages) {
  files::make_native(header, {pages.data(), pages.bytes().size()});
  return in_order(
      header, [&](const TensorType& type) { return tensors::from_pages(std::move(pages), type); });
}

// What is no regular file and tells no size: a pipe, a device.
class Stream {
 public:
  explicit Stream(const std::filesystem::path& path)
      : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) refuse(errno);
  }

  Tensor read() {
    // No header that says anything is shorter than its start.
    std::vector<std::byte> start = take({}, files::kNpyStart);
    const std::size_t header_size = files::npy_header_size(start);
    const files::NpyHeader header = files::parse_npy_header(take(std::move(start), header_size));
    std::vector<std::byte> elements = take({}, header.bytes);
    files::check_npy_bytes(header, elements.size());
    if (!take({}, 1).empty()) files::check_npy_bytes(header, header.bytes + 1);
    files::make_native(header, elements);
    return in_order(header,
                    [&](const TensorType& type) { return Tensor::from_bytes(elements, type); });
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  [[noreturn]] void refuse(int error) const {
    throw ArgumentError(
        fmt::format("[{}] {} can't be read: {}", kNpy, path_.string(), std::strerror(error)));
  }

  // `bytes` and what follows, `count` in all where there is so much. Takes memory for what comes,
  // not for what was announced.
  std::vector<std::byte> take(std::vector<std::byte> bytes, std::size_t count) {
    constexpr std::size_t kStep = 1 << 24;
    while (bytes.size() < count) {
      const std::size_t before = bytes.size();
      bytes.resize(std::min(count, std::max(kStep, 2 * before)));
      errno = 0;
      const std::size_t wanted = bytes.size() - before;
      const std::size_t got = std::fread(bytes.data() + before, 1, wanted, file_.get());
      bytes.resize(before + got);
      if (std::ferror(file_.get()) != 0) refuse(errno);
      if (got < wanted) break;
    }
    return bytes;
  }

  const std::filesystem::path& path_;
  std::unique_ptr<std::FILE, Close> file_;
};

bool is_stream(const std::filesystem::path& path) {
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
         !std::filesystem::is_directory(status);
}

}  // namespace

Tensor load_npy(const std::filesystem::path& path) {
  if (is_stream(path)) {
    Stream stream(path);
    return files::naming_file(kNpy, path, [&] { return stream.read(); });
  }
  const files::MappedFile file(path, kNpy);
  return files::naming_file(kNpy, path, [&] {
    const files::NpyHeader header = files::parse_npy(file.bytes());
    return from_elements(header, file.pages(header.size, header.bytes));
  });
}

void save_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const std::string header =
      files::naming_file(kNpy, path, [&] { return files::npy_header(tensor.type()); });
  const TensorView view(tensor);
  files::AtomicFile file(path, kNpy);
  file.write(header);
  file.write(view.bytes());
  file.commit();
}

std::map<std::string, Tensor> load_npz(const std::filesystem::path& path) {
  const files::MappedFile file(path, kNpz);
  return files::naming_file(kNpz, path, [&] {
    const files::NpzReader reader(file.bytes());
    std::map<std::string, Tensor> tensors;
    for (const files::NpzMember& member : reader.members()) {
      files::Pages pages = files::Pages::of_memory(member.header.bytes);
      reader.read(member, {pages.data(), pages.bytes().size()});
      tensors.emplace(member.name, from_elements(member.header, std::move(pages)));
    }
    return tensors;
  });
}

void save_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
              const NpzOptions& options) {
  std::vector<files::NpzArray> arrays;
  std::vector<const Tensor*> elements;
  for (const auto& [name, tensor] : tensors) {
    arrays.push_back({name, tensor.type()});
    elements.push_back(&tensor);
  }
  files::AtomicFile file(path, kNpz);
  std::optional<TensorView> view;
  files::naming_file(kNpz, path, [&] {
    files::write_npz(file, arrays, options.compressed,
                     [&](std::size_t i) { return view.emplace(*elements[i]).bytes(); });
  });
  file.commit();
}

}  // namespace mlxnx
