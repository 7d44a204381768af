#include "mlxnx/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "files/file_errors.h"
#include "files/nearest.h"
#include "files/places.h"
#include "io/checkpoint_contents.h"
#include "io/model_folder.h"
#include "io/quantization_settings.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"

namespace mlxnx {
namespace {

io::Source open_source(const std::filesystem::path& path, const Checkpoint::Options& options) {
  return files::is_folder(path, "checkpoint") ? io::open_folder(path)
                                              : io::open_file(path, options);
}

}  // namespace

Checkpoint::Contents::Contents(std::filesystem::path place, io::Source source)
    : io::Source(std::move(source)), path(std::move(place)) {
  // Settings that were read from a file name it themselves.
  files::naming(
      [&](const std::string& text) {
        return files::names_file(text, path) ? text : fmt::format("{} ({})", text, path.string());
      },
      [&] { io::repack(entries, config); });
  for (const auto& [name, entry] : entries)
    tensors.push_back({name, entry.type, entry.stored, entry.bytes});
}

Checkpoint::Checkpoint(const std::filesystem::path& path, const Options& options)
    : contents_(std::make_shared<const Contents>(path, open_source(path, options))) {}

const std::filesystem::path& Checkpoint::path() const { return contents_->path; }
std::string_view Checkpoint::format() const { return contents_->format; }
const Config& Checkpoint::config() const { return contents_->config; }
const std::vector<CheckpointTensor>& Checkpoint::tensors() const { return contents_->tensors; }

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto& tensors = contents_->tensors;
  const auto found = std::ranges::lower_bound(tensors, name, {}, &CheckpointTensor::name);
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

Tensor Checkpoint::read(std::string_view name) const {
  const auto found = contents_->entries.find(name);
  if (found != contents_->entries.end()) return found->second.read();
  std::vector<std::string_view> names;
  for (const CheckpointTensor& tensor : tensors()) names.push_back(tensor.name);
  throw ArgumentError(fmt::format("[checkpoint] {} has no tensor {:?} among its {}{}",
                                  path().string(), name, names.size(),
                                  files::nearest_hint(name, names)));
}

std::map<std::string, Tensor> Checkpoint::read(
    const std::function<bool(std::string_view name)>& which) const {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, entry] : contents_->entries) {
    if (!which || which(name)) tensors.emplace(name, entry.read());
  }
  return tensors;
}

std::optional<Quantization> Checkpoint::quantization(std::string_view layer) const {
  const std::string path = layer.empty() ? "" : std::string(layer) + ".";
  const CheckpointTensor* weight = find(path + "weight");
  const CheckpointTensor* scales = find(path + "scales");
  if (weight == nullptr || scales == nullptr) return std::nullopt;
  try {
    return io::quantization_of(config(), layer, weight->type, scales->type);
  } catch (const FormatError& error) {
    throw FormatError(fmt::format("[checkpoint] {}: {}", this->path().string(), error.what()));
  }
}

std::optional<Quantized> Checkpoint::read_quantized(std::string_view layer) const {
  const std::optional<Quantization> form = quantization(layer);
  if (!form) return std::nullopt;
  const std::string path = layer.empty() ? "" : std::string(layer) + ".";
  const auto read_if_there = [&](const char* part) -> std::optional<Tensor> {
    if (!contains(path + part)) return std::nullopt;
    return read(path + part);
  };
  return Quantized{read(path + "weight"), read(path + "scales"), read_if_there("biases"), *form,
                   read_if_there("global_scale")};
}

Adapter Adapter::read(const std::filesystem::path& folder) {
  Adapter adapter;
  adapter.config = Config::read(folder / "adapter_config.json");
  const std::string kind = adapter.config.get<std::string>("fine_tune_type", "lora");
  if (kind == "lora" || kind == "dora") {
    adapter.kind = kind == "lora" ? Kind::kLora : Kind::kDora;
    adapter.scale = adapter.config.get<Config>("lora_parameters").get<double>("scale");
  } else if (kind == "full") {
    adapter.kind = Kind::kFull;
  } else {
    throw FormatError(
        fmt::format("[adapter] {}: fine_tune_type is {:?}, and lora, dora or full is wanted",
                    (folder / "adapter_config.json").string(), kind));
  }
  adapter.tensors = TensorFile(folder / "adapters.safetensors").read();
  return adapter;
}

}  // namespace mlxnx
