#include "llm/parts/decoder.h"

#include <fmt/format.h>

#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

Config with_defaults(Config config, std::string_view defaults) {
  const Config absent = Config::parse(defaults);
  for (const std::string& key : absent.keys()) {
    if (!config.contains(key) && !config.is_null(key)) config.set_from(key, absent);
  }
  return config;
}

Config with_names(Config config,
                  std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
  for (const auto& [own, given] : names) {
    if (config.contains(given)) config.set_from(own, Config(config), given);
  }
  return config;
}

std::int64_t size_in(const Config& config, std::string_view key,
                     std::optional<std::int64_t> absent) {
  const auto value =
      absent ? config.get<std::int64_t>(key, *absent) : config.get<std::int64_t>(key);
  // What no machine holds is a lie, and sizes are multiplied below.
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (value > 0 && value < kMost) return value;
  throw FormatError(fmt::format("[load] {} is {} in the settings", key, value));
}

std::int64_t hidden_size(const Config& config) { return size_in(config, "hidden_size"); }
double norm_eps(const Config& config) { return config.get<double>("rms_norm_eps"); }
Config with_norm_eps(Config config, std::string_view name) {
  config.set("rms_norm_eps", config.get<double>(name));
  return config;
}
std::int64_t vocabulary_size(const Config& config) { return size_in(config, "vocab_size"); }
std::size_t layer_count(const Config& config) {
  // Layers take memory before any weight is seen.
  constexpr std::int64_t kMost = 10'000;
  const std::int64_t count = size_in(config, "num_hidden_layers");
  if (count <= kMost) return static_cast<std::size_t>(count);
  throw FormatError(fmt::format("[load] num_hidden_layers is {} in the settings", count));
}

bool is_tied(const Config& config, bool absent) {
  return config.get<bool>("tie_word_embeddings", absent);
}

Config tied_without_head(Config config, const nn::Parameters& weights) {
  config.set("tie_word_embeddings", !weights.contains("lm_head.weight"));
  return config;
}

Norm rms_norm(const Config& config, Maker& maker) {
  return maker.rms_norm(hidden_size(config), norm_eps(config));
}
Norm layer_norm(const Config& config, Maker& maker, double eps, bool bias) {
  return maker.layer_norm(hidden_size(config), eps, bias);
}

double nested_base(const Config& config, double flat) {
  const std::optional<Config> nested = rope_scaling(config, "rope_parameters");
  return nested ? nested->get<double>("rope_theta", flat) : flat;
}

RopeSettings rope_settings(const Config& config, std::int64_t dims, double default_base) {
  RopeSettings settings{.dims = dims};
  const std::optional<Config> nested = rope_scaling(config, "rope_parameters");
  settings.base = config.get<double>("rope_theta", nested_base(config, default_base));
  settings.traditional = config.get<bool>("rope_traditional", false);
  settings.scaling = rope_scaling(config);
  if (!settings.scaling) settings.scaling = nested;
  if (config.contains("max_position_embeddings"))
    settings.max_positions = config.get<std::int64_t>("max_position_embeddings");
  return settings;
}

Tensor learned_positions(const nn::Embedding& table, const Step& step) {
  const std::int64_t most = table.weight.shape()[0];
  if (step.offset() + step.length() > most) {
    throw ArgumentError(fmt::format(
        "[forward] the model has learned {} positions, and the text takes {}: shorten it", most,
        step.offset() + step.length()));
  }
  // Padding stands before the first one.
  return table(max(step.positions(), Tensor(0)));
}

Tensor capped(const Tensor& logits, double most) { return tanh(logits / most) * most; }

std::vector<LayerCache> full_caches(std::size_t layers) {
  return std::vector<LayerCache>(layers, KeyValues{});
}

KeyValues windowed_cache(std::int64_t window) {
  if (window < 1)
    throw FormatError(fmt::format("[load] a window of attention has {} tokens", window));
  return {.window = window};
}

std::vector<std::string> layer_types(const Config& config) {
  auto types = config.get<std::vector<std::string>>("layer_types");
  const std::size_t layers = layer_count(config);
  if (types.size() < layers) {
    throw FormatError(
        fmt::format("[load] layer_types has {} entries for {} layers", types.size(), layers));
  }
  types.resize(layers);
  return types;
}

std::vector<LayerCache> caches_by_layer_types(const Config& config, std::size_t layers) {
  std::vector<LayerCache> caches = full_caches(layers);
  if (!config.contains("layer_types")) return caches;
  const std::vector<std::string> types = layer_types(config);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (types[layer] == "sliding_attention")
      caches[layer] = windowed_cache(config.get<std::int64_t>("sliding_window"));
  }
  return caches;
}

}  // namespace mlxnx::llm
