#include "io/rope_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

std::optional<double> number(const Config& config, const char* key) {
  if (!config.contains(key)) return std::nullopt;
  return config.get<double>(key);
}

void take_scaling(RopeSettings& rope, const Config& scaling) {
  rope.scaling = scaling;
  rope.kind = rope_kind(scaling);
}

// The parameters of layers that look at all; those with a sliding window may have another base.
Config parameters_of(const Config& config, RopeSettings& rope) {
  const Config all = config.get<Config>("rope_parameters");
  constexpr const char *kFull = "full_attention", *kSliding = "sliding_attention";
  if (!all.holds_object(kFull)) return all;
  if (all.holds_object(kSliding)) {
    const Config local = all.get<Config>(kSliding);
    if (rope_kind(local) != "default") {
      throw UnsupportedError(fmt::format(
          "rope_parameters of the type {:?} for layers with a sliding window are not supported",
          rope_kind(local)));
    }
    rope.local_base = number(local, "rope_theta");
  }
  return all.get<Config>(kFull);
}

}  // namespace

std::string rope_kind(const Config& scaling) {
  return scaling.get<std::string>("type", scaling.get<std::string>("rope_type", "default"));
}

RopeSettings rope_settings(const Config& config) {
  RopeSettings rope{.base = number(config, "rope_theta"),
                    .local_base = number(config, "rope_local_base_freq"),
                    .part = number(config, "partial_rotary_factor")};
  if (config.contains("rope_scaling")) take_scaling(rope, config.get<Config>("rope_scaling"));
  if (!config.contains("rope_parameters")) return rope;
  const Config parameters = parameters_of(config, rope);
  if (const auto base = number(parameters, "rope_theta")) rope.base = base;
  if (const auto part = number(parameters, "partial_rotary_factor")) rope.part = part;
  if (rope.kind == "default") take_scaling(rope, parameters);
  return rope;
}

namespace {
// What all models of llama 3 have.
constexpr double kLow = 1, kHigh = 4;
}  // namespace

std::vector<double> llama3_factors(const Config& scaling, double base, std::int64_t head_dim) {
  const auto factor = scaling.get<double>("factor");
  const double low = scaling.get<double>("low_freq_factor", kLow),
               high = scaling.get<double>("high_freq_factor", kHigh);
  const auto length = scaling.get<double>("original_max_position_embeddings", 8192);
  std::vector<double> factors;
  for (std::int64_t i = 0; i + 1 < head_dim; i += 2) {
    const double wave = 2 * std::numbers::pi *
                        std::pow(base, static_cast<double>(i) / static_cast<double>(head_dim));
    const double turns = length / wave;
    const double smooth = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(1 / ((1 - smooth) / factor + smooth));
  }
  return factors;
}

namespace {

// The lengths that the factors may come from, most likely first: where a frequency lies between
// those that are kept and those that are divided by all of it, it tells.
std::vector<std::int64_t> lengths_of(const std::vector<float>& factors, double base) {
  std::vector<std::int64_t> lengths;
  const double whole = 1.0 / factors.back();
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] <= 1 || factors[i] >= factors.back()) continue;
    const double smooth = (1.0 / factors[i] - whole) / (1 - whole);
    const double wave =
        2 * std::numbers::pi *
        std::pow(base, static_cast<double>(i) / static_cast<double>(factors.size()));
    const double length = wave * (kLow + smooth * (kHigh - kLow));
    constexpr double kMost = 1 << 30;
    if (length < kMost) lengths.push_back(std::llround(length));
  }
  constexpr std::int64_t kShortest = 16, kLongest = 1 << 20;
  for (std::int64_t length = kShortest; length <= kLongest; length *= 2) lengths.push_back(length);
  return lengths;
}

}  // namespace

std::optional<Config> llama3_scaling(const std::vector<float>& factors, double base) {
  constexpr double kMostError = 1e-4;
  const auto is_one = [](float factor) { return factor == 1; };
  if (std::ranges::all_of(factors, is_one)) return std::nullopt;
  Config scaling;
  scaling.set("rope_type", std::string("llama3"));
  scaling.set("low_freq_factor", kLow);
  scaling.set("high_freq_factor", kHigh);
  // The lowest frequency is divided by the factor itself.
  scaling.set("factor", static_cast<double>(factors.back()));
  for (const std::int64_t length : lengths_of(factors, base)) {
    scaling.set("original_max_position_embeddings", length);
    const std::vector<double> own =
        llama3_factors(scaling, base, static_cast<std::int64_t>(2 * factors.size()));
    if (std::ranges::equal(own, factors, [](double a, double b) {
          return std::abs(a - b) <= kMostError * std::abs(b);
        }))
      return scaling;
  }
  throw UnsupportedError(
      "rope_freqs.weight divides the frequencies of rotary positions in a way that no settings "
      "say");
}

}  // namespace mlxnx::io
