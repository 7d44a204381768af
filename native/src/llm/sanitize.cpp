#include "llm/sanitize.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

void drop(nn::Parameters& weights, const std::function<bool(std::string_view name)>& which) {
  std::erase_if(weights, [&](const auto& entry) { return which(entry.first); });
}

void drop_tied_head(nn::Parameters& weights, bool is_tied) {
  if (is_tied) drop(weights, [](std::string_view name) { return name.starts_with("lm_head."); });
}

void drop_unused(nn::Parameters& weights, bool is_tied) {
  drop(weights,
       [](std::string_view name) { return name.find("inv_freq") != std::string_view::npos; });
  drop_tied_head(weights, is_tied);
}

void drop_layers_past(nn::Parameters& weights, std::size_t count) {
  constexpr std::string_view kLayers = "model.layers.";
  drop(weights, [&](std::string_view name) {
    if (!name.starts_with(kLayers)) return false;
    std::size_t number = 0;
    const char* const begin = name.data() + kLayers.size();
    return std::from_chars(begin, name.data() + name.size(), number).ec == std::errc() &&
           number >= count;
  });
}

void rename(nn::Parameters& weights, const std::function<std::string(std::string_view)>& rename) {
  nn::Parameters renamed;
  for (auto& [name, tensor] : weights) {
    std::string other = rename(name);
    if (!other.empty()) renamed.insert_or_assign(std::move(other), std::move(tensor));
  }
  weights = std::move(renamed);
}

void rename_one(nn::Parameters& weights, const std::string& from, const std::string& to) {
  auto node = weights.extract(from);
  if (node.empty()) return;
  node.key() = to;
  weights.insert(std::move(node));
}

std::string replaced(std::string_view name, std::string_view from, std::string_view to) {
  std::string result;
  for (std::size_t at = 0;;) {
    const std::size_t found = name.find(from, at);
    result += name.substr(at, found - at);
    if (found == std::string_view::npos) return result;
    result += to;
    at = found + from.size();
  }
}

void stack_experts(nn::Parameters& weights, const std::string& prefix, std::string_view from,
                   const std::string& to, std::int64_t count) {
  constexpr std::array<std::string_view, 4> kParts = {"weight", "scales", "biases", "bias"};
  for (const std::string_view part : kParts) {
    const auto name = [&](std::int64_t expert) {
      return fmt::format("{}.experts.{}.{}.{}", prefix, expert, from, part);
    };
    if (!weights.contains(name(0))) continue;
    std::vector<Tensor> each;
    for (std::int64_t expert = 0; expert < count; ++expert) {
      const auto found = weights.find(name(expert));
      if (found == weights.end()) {
        throw FormatError(fmt::format("[load] there is no {}, and the settings say {} experts",
                                      name(expert), count));
      }
      each.push_back(std::move(found->second));
      weights.erase(found);
    }
    weights.insert_or_assign(fmt::format("{}.{}.{}", prefix, to, part), stack(each));
  }
}

Config text_config(const Config& config) {
  return config.holds_object("text_config") ? config.get<Config>("text_config") : config;
}

std::string model_type(const Config& config) {
  if (config.contains("model_file")) {
    throw UnsupportedError(fmt::format(
        "[load] the model brings code of its own ({}), which is not run; only known model types "
        "are",
        config.get<std::string>("model_file")));
  }
  return config.get<std::string>("model_type");
}

}  // namespace mlxnx::llm
