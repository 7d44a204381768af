#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "files/atomic_file.h"
#include "files/file_errors.h"
#include "files/safetensors.h"
#include "mlxnx/convert.h"
#include "mlxnx/error.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModelWriterOp = "write_weights";

// Tensors [first, last) of the plan.
struct Shard {
  std::size_t first, last;
};

std::uint64_t bytes_of(const TensorType& type) {
  return static_cast<std::uint64_t>(element_count(type.shape)) * size_bytes(type.dtype);
}

std::vector<Shard> shards_of(const std::vector<PlannedTensor>& tensors, std::uint64_t most) {
  std::vector<Shard> shards{{0, 0}};
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = bytes_of(tensors[i].type);
    if (size > 0 && size + bytes > most) {
      shards.push_back({i, i});
      size = 0;
    }
    size += bytes;
    shards.back().last = i + 1;
  }
  return shards;
}

std::string name_of(std::size_t number, std::size_t count) {
  return count == 1 ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", number + 1, count);
}

class Writer {
 public:
  Writer(const std::vector<PlannedTensor>& tensors, const WriteOptions& options)
      : tensors_(tensors), options_(options) {
    for (const PlannedTensor& tensor : tensors) total_ += bytes_of(tensor.type);
  }

  std::unique_ptr<files::AtomicFile> write(const fs::path& path, const Shard& shard) {
    std::vector<files::StoredTensor> stored;
    for (std::size_t i = shard.first; i < shard.last; ++i)
      stored.push_back(files::stored_tensor(tensors_[i].name, tensors_[i].type));
    const std::string header = files::naming_file(kModelWriterOp, path, [&] {
      return files::safetensors_header(stored, {{"format", "mlx"}});
    });
    auto file = std::make_unique<files::AtomicFile>(path, kModelWriterOp);
    file->write(header);
    for (std::size_t i = shard.first; i < shard.last; ++i) write(tensors_[i], *file);
    return file;
  }

  std::uint64_t total() const { return total_; }

 private:
  void write(const PlannedTensor& planned, files::AtomicFile& file) {
    if (options_.progress && !options_.progress(done_, total_))
      throw InterruptedError("[write_weights] ended before all was written; nothing is left of it");
    const Tensor tensor = files::naming_tensor(planned.name, planned.make);
    if (tensor.type() != planned.type) {
      throw ArgumentError(fmt::format("[{}] {:?} was planned as {} and made as {}", kModelWriterOp,
                                      planned.name, to_string(planned.type),
                                      to_string(tensor.type())));
    }
    file.write(TensorView(tensor).bytes());
    done_ += bytes_of(planned.type);
  }

  const std::vector<PlannedTensor>& tensors_;
  const WriteOptions& options_;
  std::uint64_t total_ = 0, done_ = 0;
};

// "model.safetensors", or "model-00001-of-00002.safetensors".
bool is_shard(std::string_view name) {
  constexpr std::string_view kPattern = "model-#####-of-#####.safetensors";
  if (name == "model.safetensors") return true;
  return std::ranges::equal(name, kPattern, [](char c, char pattern) {
    return pattern == '#' ? c >= '0' && c <= '9' : c == pattern;
  });
}

// Shards of a model that stood there before.
void remove_others(const fs::path& folder, const std::set<std::string>& kept) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (is_shard(name) && !kept.contains(name)) fs::remove(entry.path(), ignored);
  }
}

}  // namespace

void write_weights(const fs::path& folder, const std::vector<PlannedTensor>& tensors,
                   std::uint64_t total_parameters, const WriteOptions& options) {
  const std::vector<Shard> shards = shards_of(tensors, options.most_shard_bytes);
  Writer writer(tensors, options);
  nlohmann::json index = {
      {"metadata", {{"total_size", writer.total()}, {"total_parameters", total_parameters}}},
      {"weight_map", nlohmann::json::object()}};
  std::vector<std::unique_ptr<files::AtomicFile>> written;
  std::set<std::string> names;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = name_of(i, shards.size());
    written.push_back(writer.write(folder / name, shards[i]));
    names.insert(name);
    for (std::size_t at = shards[i].first; at < shards[i].last; ++at)
      index["weight_map"][tensors[at].name] = name;
  }
  for (const auto& file : written) file->commit();
  files::write_file(folder / "model.safetensors.index.json", index.dump(4), kModelWriterOp);
  remove_others(folder, names);
  if (options.progress) options.progress(writer.total(), writer.total());
}

}  // namespace mlxnx
