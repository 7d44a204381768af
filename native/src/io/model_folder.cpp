#include "io/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "files/json_file.h"
#include "files/places.h"
#include "io/gguf_model.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kModelFolderOp = "checkpoint";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kModelopt = "hf_quant_config.json";

// The tensors that the index names, each with its file.
using Index = std::map<std::string, std::string, std::less<>>;

bool is_plain(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Index read_index(const fs::path& path) {
  constexpr std::uint64_t kMostBytes = 32 << 20;
  constexpr int kMostDepth = 8;
  const json value = files::read_json(path, kModelFolderOp, kMostBytes, kMostDepth);
  return files::naming_file(kModelFolderOp, path, [&] {
    Index index;
    const json& map = files::member(value, "weight_map");
    if (!map.is_object()) throw FormatError("weight_map is no object");
    for (const auto& [name, file] : map.items()) {
      if (!is_plain(files::text(file)) || !files::text(file).ends_with(".safetensors")) {
        throw FormatError(fmt::format(
            "weight_map has {:?} in {}, which is no name of a .safetensors file in this folder",
            name, files::shown(file)));
      }
      index.emplace(name, files::text(file));
    }
    return index;
  });
}

[[noreturn]] void refuse_without_weights(const fs::path& folder,
                                         const std::vector<std::string>& names) {
  const auto holds = [&](std::string_view suffix) {
    return std::ranges::any_of(names, [&](const auto& name) { return name.ends_with(suffix); });
  };
  std::string hint;
  if (holds(".gguf")) hint = "; give the name of its .gguf file";
  if (holds(".bin") || holds(".pt") || holds(".pth"))
    hint =
        "; its weights are Python pickles, which are never loaded: take a repository with "
        "safetensors";
  throw ArgumentError(
      fmt::format("[{}] {} holds no model*.safetensors{}", kModelFolderOp, folder.string(), hint));
}

std::vector<std::string> weight_files(const fs::path& folder, const Index& index) {
  std::set<std::string> chosen;
  for (const auto& [name, file] : index) chosen.insert(file);
  const std::vector<std::string> names = listed_files(folder);
  std::vector<std::string> others;
  for (const std::string& name : names) {
    if (!name.ends_with(".safetensors")) continue;
    if (name.starts_with("model")) chosen.insert(name);
    others.push_back(name);
  }
  if (chosen.empty() && others.size() == 1) return others;
  if (chosen.empty()) refuse_without_weights(folder, names);
  for (const std::string& name : chosen) {
    if (!std::ranges::binary_search(names, name)) {
      throw ArgumentError(
          fmt::format("[{}] {} is missing, and {} names it: the folder is not whole",
                      kModelFolderOp, (folder / name).string(), kIndex));
    }
  }
  return {chosen.begin(), chosen.end()};
}

void add_file(const std::shared_ptr<const OpenFile>& file, const Index& index, Entries& entries) {
  const std::string own = file->path().filename().string();
  for (const files::StoredTensor& tensor : file->tensors()) {
    const auto listed = index.find(tensor.name);
    if (listed != index.end() && listed->second != own) continue;
    const auto [found, is_new] = entries.emplace(tensor.name, entry_of(file, tensor));
    if (!is_new) {
      throw FormatError(fmt::format("[{}] {:?} stands in {} and in {}", kModelFolderOp, tensor.name,
                                    found->second.file->path().string(), file->path().string()));
    }
  }
}

// What modelopt writes beside `config.json`, which need not name it.
void take_modelopt(const fs::path& path, Config& config) {
  if (!files::is_file(path, kModelFolderOp)) return;
  Config settings = Config::read(path);
  if (!settings.contains("quant_method")) settings.set("quant_method", std::string("modelopt"));
  config.set("quantization_config", settings);
}

bool says_how_quantized(const Config& config) {
  return config.contains("quantization_config") || config.contains("quantization");
}

Config config_of(const fs::path& folder) {
  if (!files::is_there(folder / "config.json", kModelFolderOp)) return {};
  Config config = Config::read(folder / "config.json");
  const fs::path generation = folder / "generation_config.json";
  if (files::is_file(generation, kModelFolderOp)) {
    const Config settings = Config::read(generation);
    if (settings.contains("eos_token_id")) config.set_from("eos_token_id", settings);
  }
  if (!says_how_quantized(config) && config.contains("text_config")) {
    const Config text = config.get<Config>("text_config");
    if (text.contains("quantization_config")) config.set_from("quantization_config", text);
  }
  if (!says_how_quantized(config)) take_modelopt(folder / kModelopt, config);
  return config;
}

}  // namespace

std::vector<std::string> listed_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error, unknown;
  for (auto at = fs::directory_iterator(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (at->is_regular_file(unknown)) names.push_back(at->path().filename().string());
  }
  if (error) {
    throw FileError(
        fmt::format("[{}] {} can't be read: {}", kModelFolderOp, folder.string(), error.message()),
        "read folder", folder.string(), error.value());
  }
  std::ranges::sort(names);
  return names;
}

Source open_folder(const fs::path& folder) {
  Source source{.format = "folder", .config = config_of(folder)};
  Index index;
  if (files::is_there(folder / kIndex, kModelFolderOp)) index = read_index(folder / kIndex);
  for (const std::string& name : weight_files(folder, index))
    add_file(std::make_shared<const OpenFile>(folder / name), index, source.entries);
  for (const auto& [name, file] : index) {
    if (!source.entries.contains(name)) {
      throw FormatError(fmt::format("[{}] {} says that {:?} is in {}, and it is not",
                                    kModelFolderOp, (folder / kIndex).string(), name, file));
    }
  }
  return source;
}

Source open_file(const fs::path& path, const Checkpoint::Options& options) {
  const auto file = std::make_shared<const OpenFile>(path);
  if (file->gguf() != nullptr) return open_gguf(file, options);
  Source source{.format = "safetensors"};
  add_file(file, {}, source.entries);
  return source;
}

}  // namespace mlxnx::io
