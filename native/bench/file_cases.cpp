// Files of 98 MB, in the page cache, beside what the system itself takes for them.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cases.h"
#include "files/atomic_file.h"
#include "files/blocks.h"
#include "files/gguf_writer.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/io.h"

namespace mlxnx::bench {
namespace {

namespace fs = std::filesystem;
using files::StoredTensor;
using files::StoredType;

constexpr std::size_t kTensors = 96;

// Files that are gone with the last case that uses them.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("mlxnx_bench_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::vector<std::byte> random_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24 & 0x3f);  // scales stay finite
  }
  return bytes;
}

fs::path safetensors(const Folder& folder) {
  const fs::path path = folder.path() / "model.safetensors";
  if (fs::exists(path)) return path;
  std::map<std::string, Tensor> tensors;
  const Tensor one = waves({512, 500});
  for (std::size_t i = 0; i < kTensors; ++i) tensors.emplace("t" + std::to_string(i), one);
  save_safetensors(path, tensors);
  return path;
}

fs::path gguf(const Folder& folder) {
  const fs::path path = folder.path() / "model.gguf";
  if (fs::exists(path)) return path;
  std::vector<StoredTensor> tensors;
  const Shape shape = {1024, 1600};
  const std::uint64_t size = files::stored_bytes(StoredType::kQ4_1, shape);
  for (std::size_t i = 0; i < kTensors; ++i) {
    tensors.push_back({.name = "blk." + std::to_string(i) + ".ffn_up.weight",
                       .type = StoredType::kQ4_1,
                       .shape = shape,
                       .bytes = size});
  }
  const std::vector<std::byte> blocks = random_bytes(size);
  const std::vector<files::GgufEntry> metadata = {{"general.architecture", std::string("qwen3")}};
  files::AtomicFile file(path, "bench");
  files::write_gguf(file, metadata, tensors,
                    [&](std::size_t, const files::GgufSink& sink) { sink(blocks); });
  file.commit();
  return path;
}

// All bytes into memory that is new each time.
void read_whole(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const std::size_t size = fs::file_size(path);
  const std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
  std::size_t got = 0;
  while (got < size) {
    const ssize_t count = ::read(file, bytes.get() + got, size - got);
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  ::close(file);
  if (got < size) throw std::runtime_error("the file can't be read");
}

// Each page of the elements is looked at, as whoever computes with them does.
void use(const std::map<std::string, Tensor>& tensors) {
  constexpr std::size_t kPage = 4096;
  for (const auto& [name, tensor] : tensors) {
    const TensorView view(tensor);
    unsigned sum = 0;
    for (std::size_t i = 0; i < view.bytes().size(); i += kPage)
      sum += std::to_integer<unsigned>(view.bytes()[i]);
    benchmark::DoNotOptimize(sum);
  }
}

Body decodes(StoredType type) {
  constexpr std::size_t kElements = std::size_t{1} << 22;  // 16 MiB of f32
  const files::StoredTypeRow& row = files::row_of(type);
  const auto blocks = std::make_shared<std::vector<std::byte>>(
      random_bytes(kElements / row.per_block * row.block_bytes));
  const auto elements = std::make_shared<std::vector<float>>(kElements);
  return [=] { files::decode_blocks(type, *blocks, *elements); };
}

}  // namespace

std::vector<Case> file_cases() {
  const auto folder = std::make_shared<Folder>();
  const auto on = [folder](auto make_file, auto run) {
    return [=]() -> Body {
      const fs::path path = make_file(*folder);
      return [=] { run(path); };
    };
  };
  const auto copy = [folder](const fs::path& path) {
    fs::copy_file(path, folder->path() / "copy", fs::copy_options::overwrite_existing);
  };
  return {
      {"files_read_plain_98mb", on(safetensors, read_whole)},
      {"files_open_safetensors", on(safetensors, [](const fs::path& path) { Checkpoint{path}; })},
      {"files_use_safetensors_98mb",
       on(safetensors, [](const fs::path& path) { use(Checkpoint(path).read()); })},
      {"files_open_gguf", on(gguf, [](const fs::path& path) { Checkpoint{path}; })},
      {"files_use_gguf_q4_1_98mb",
       on(gguf, [](const fs::path& path) { use(Checkpoint(path).read()); })},
      {"files_copy_98mb", on(safetensors, copy)},
      {"files_write_safetensors_98mb",
       [folder]() -> Body {
         const auto tensors = std::make_shared<std::map<std::string, Tensor>>(
             load_safetensors(safetensors(*folder)));
         return [=] { save_safetensors(folder->path() / "written", *tensors); };
       }},
      {"files_decode_q4_1_16mb", [] { return decodes(StoredType::kQ4_1); }},
      {"files_decode_q4_k_16mb", [] { return decodes(StoredType::kQ4_K); }},
      {"files_decode_q6_k_16mb", [] { return decodes(StoredType::kQ6_K); }},
  };
}

}  // namespace mlxnx::bench
