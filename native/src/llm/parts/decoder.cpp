#include "llm/parts/decoder.h"

#include <fmt/format.h>

#include <string>

#include "mlxnx/error.h"

namespace mlxnx::llm {
namespace {

std::int64_t positive(const Config& config, std::string_view key) {
  const auto value = config.get<std::int64_t>(key);
  // What no machine holds is a lie, and sizes are multiplied below.
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (value > 0 && value < kMost) return value;
  throw FormatError(fmt::format("[load] {} is {} in the settings", key, value));
}

}  // namespace

std::int64_t hidden_size(const Config& config) { return positive(config, "hidden_size"); }
double norm_eps(const Config& config) { return config.get<double>("rms_norm_eps"); }
std::int64_t vocabulary_size(const Config& config) { return positive(config, "vocab_size"); }
std::size_t layer_count(const Config& config) {
  return static_cast<std::size_t>(positive(config, "num_hidden_layers"));
}

RopeSettings rope_settings(const Config& config, std::int64_t dims) {
  RopeSettings settings{.dims = dims};
  settings.base = config.get<double>("rope_theta", settings.base);
  settings.traditional = config.get<bool>("rope_traditional", false);
  settings.scaling = rope_scaling(config);
  if (config.contains("max_position_embeddings"))
    settings.max_positions = config.get<std::int64_t>("max_position_embeddings");
  return settings;
}

std::vector<LayerCache> full_caches(std::size_t layers) {
  return std::vector<LayerCache>(layers, KeyValues{});
}

KeyValues windowed_cache(std::int64_t window) {
  if (window < 1)
    throw FormatError(fmt::format("[load] a window of attention has {} tokens", window));
  return {.window = window};
}

std::vector<LayerCache> caches_by_layer_types(const Config& config, std::size_t layers) {
  std::vector<LayerCache> caches = full_caches(layers);
  if (!config.contains("layer_types")) return caches;
  const auto types = config.get<std::vector<std::string>>("layer_types");
  if (types.size() != layers) {
    throw FormatError(
        fmt::format("[load] layer_types has {} entries for {} layers", types.size(), layers));
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (types[layer] == "sliding_attention")
      caches[layer] = windowed_cache(config.get<std::int64_t>("sliding_window"));
  }
  return caches;
}

}  // namespace mlxnx::llm
