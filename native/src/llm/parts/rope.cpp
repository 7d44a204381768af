#include "llm/parts/rope.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string_view>
#include <vector>

#include "files/file_errors.h"
#include "io/rope_settings.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

double positive(const Config& scaling, std::string_view key, std::optional<double> absent = {}) {
  const auto value = absent ? scaling.get<double>(key, *absent) : scaling.get<double>(key);
  if (value > 0 && std::isfinite(value)) return value;
  throw FormatError(fmt::format("[rope] {} is {} in the settings of rotary positions {}", key,
                                value, files::cut(scaling.to_json())));
}

// The wavelengths of the pairs, over 2 pi.
std::vector<double> lengths(const RopeSettings& settings, std::int64_t dims) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < dims; i += 2) {
    result.push_back(
        std::pow(settings.base, static_cast<double>(i) / static_cast<double>(settings.dims)));
  }
  return result;
}

Tensor list(const std::vector<double>& values) {
  const std::vector<float> floats(values.begin(), values.end());
  return Tensor::from_span(std::span<const float>(floats),
                           {static_cast<std::int64_t>(floats.size())});
}

// Long wavelengths are stretched by a factor, short ones stay, those between by something between.
std::vector<double> llama3(const RopeSettings& settings, const Config& scaling) {
  for (const std::string_view key :
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
    positive(scaling, key, 1);
  std::vector<double> result = lengths(settings, settings.dims);
  const std::vector<double> factors = io::llama3_factors(scaling, settings.base, settings.dims);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] *= factors[i];
  return result;
}

double yarn_magnitude(double scale, double by) {
  return scale <= 1 ? 1 : 0.1 * by * std::log(scale) + 1;
}

struct Yarn {
  std::vector<double> lengths;
  double magnitude;
};

// Between two numbers of turns over the old length, a ramp from stretched to unchanged wavelengths.
Yarn yarn(const RopeSettings& settings, const Config& scaling) {
  const double factor = positive(scaling, "factor");
  const double old_length = positive(scaling, "original_max_position_embeddings", 4096);
  const auto pair_of = [&](double turns) {
    return static_cast<double>(settings.dims) *
           std::log(old_length / (turns * 2 * std::numbers::pi)) / (2 * std::log(settings.base));
  };
  const double low = std::max(std::floor(pair_of(positive(scaling, "beta_fast", 32))), 0.0);
  double high = std::min(std::ceil(pair_of(positive(scaling, "beta_slow", 1))),
                         static_cast<double>(settings.dims - 1));
  if (low == high) high += 0.001;  // a ramp of some width
  std::vector<double> result = lengths(settings, settings.dims);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double stretched = factor * result[i], plain = result[i];
    result[i] = stretched * plain / (stretched * (1 - ramp) + plain * ramp);
  }
  return {result, yarn_magnitude(factor, scaling.get<double>("mscale", 1.0)) /
                      yarn_magnitude(factor, scaling.get<double>("mscale_all_dim", 0.0))};
}

// One factor for each pair, always those of long texts, as mlx-lm does.
std::vector<double> longrope(const RopeSettings& settings, const Config& scaling) {
  const std::vector<double> factors = scaling.holds_list("long_factor")
                                          ? scaling.get<std::vector<double>>("long_factor")
                                          : std::vector{scaling.get<double>("long_factor")};
  std::vector<double> result = lengths(settings, settings.dims);
  if (factors.size() != result.size() && factors.size() != 1) {
    throw FormatError(fmt::format("[rope] long_factor has {} numbers, and {} are turned in pairs",
                                  factors.size(), settings.dims));
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double factor = factors[factors.size() == 1 ? 0 : i];
    if (!(factor > 0)) throw FormatError(fmt::format("[rope] long_factor has {}", factor));
    result[i] *= factor;
  }
  return result;
}

double longrope_magnitude(const RopeSettings& settings, const Config& scaling) {
  const auto old_length = scaling.get<double>("original_max_position_embeddings");
  if (!(old_length > 1)) {
    throw FormatError(
        fmt::format("[rope] original_max_position_embeddings is {} in the settings", old_length));
  }
  const double factor = static_cast<double>(settings.max_positions.value_or(131'072)) / old_length;
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(old_length));
}

// Only a part of the pairs turns; the others have endless wavelengths.
std::vector<double> proportional(const RopeSettings& settings, const Config& scaling) {
  const auto part = scaling.get<double>("partial_rotary_factor", 1.0);
  if (!(part >= 0 && part <= 1))
    throw FormatError(fmt::format("[rope] partial_rotary_factor is {}, at most 1 is wanted", part));
  const auto turned = static_cast<std::int64_t>(static_cast<double>(settings.dims) * part);
  std::vector<double> result = lengths(settings, turned);
  for (double& length : result) length *= positive(scaling, "factor", 1);
  result.resize(static_cast<std::size_t>(settings.dims / 2),
                std::numeric_limits<double>::infinity());
  return result;
}

}  // namespace

void require_rope_scaling(const Config& config, std::initializer_list<std::string_view> kinds) {
  const std::optional<Config> scaling = rope_scaling(config);
  if (!scaling) return;
  const std::string kind = io::rope_kind(*scaling);
  if (std::ranges::find(kinds, std::string_view(kind)) != kinds.end()) return;
  throw UnsupportedError(fmt::format("[load] rope_scaling of the kind {:?}: this family has {}",
                                     kind, fmt::join(kinds, ", ")));
}

std::optional<Config> rope_scaling(const Config& config, std::string_view key) {
  if (!config.contains(key)) return std::nullopt;
  const auto scaling = config.get<Config>(key);
  // An object without members is none to Python.
  return scaling.keys().empty() ? std::nullopt : std::optional(scaling);
}

Rope::Rope(const RopeSettings& settings)
    : dims_(settings.dims), base_(settings.base), traditional_(settings.traditional) {
  if (dims_ < 2 || dims_ % 2 != 0) {
    throw FormatError(fmt::format(
        "[rope] {} numbers of each head are to be turned, and they go in pairs", dims_));
  }
  if (!(base_ > 0 && std::isfinite(base_)))
    throw FormatError(fmt::format("[rope] the base of positions is {} in the settings", base_));
  if (settings.backwards) {
    std::vector<double> turned = lengths(settings, settings.dims);
    for (double& length : turned) length = -length;
    frequencies_ = list(turned);
    return;
  }
  if (!settings.scaling) return;
  const Config& scaling = *settings.scaling;
  const std::string kind = io::rope_kind(scaling);
  if (kind == "default" || kind == "mrope") return;
  if (kind == "linear") {
    scale_ = 1 / positive(scaling, "factor");
  } else if (kind == "dynamic") {
    factor_ = positive(scaling, "factor");
    if (!settings.max_positions)
      throw FormatError("[rope] scaling of the kind \"dynamic\" needs max_position_embeddings");
    max_positions_ = *settings.max_positions;
  } else if (kind == "llama3") {
    frequencies_ = list(llama3(settings, scaling));
  } else if (kind == "yarn" || kind == "deepseek_yarn" || kind == "telechat3-yarn") {
    const Yarn scaled = yarn(settings, scaling);
    frequencies_ = list(scaled.lengths);
    magnitude_ = scaled.magnitude;
  } else if (kind == "longrope" || kind == "su") {
    frequencies_ = list(longrope(settings, scaling));
    traditional_ = false;
    magnitude_ = settings.magnitude ? *settings.magnitude : longrope_magnitude(settings, scaling);
  } else if (kind == "proportional") {
    frequencies_ = list(proportional(settings, scaling));
  } else {
    throw UnsupportedError(fmt::format(
        "[rope] scaling of the kind {:?} is not known; default, linear, dynamic, llama3, yarn, "
        "longrope, proportional and mrope are",
        kind));
  }
}

Tensor Rope::operator()(const Tensor& x, const Step& step) const {
  Tensor turned = x;
  if (magnitude_ != 1) {
    const std::int64_t size = x.shape().back();
    turned = size == dims_ ? x * magnitude_ : [&] {
      auto [first, rest] = split(x, dims_, {.axis = -1});
      return concatenate({first * magnitude_, rest}, {.axis = -1});
    }();
  }
  double base = base_;
  if (factor_ != 0) {
    if (step.position().rank() != 0) {
      throw UnsupportedError(
          "[rope] positions whose base grows with the length can't be told for texts of several "
          "lengths at once: run them one by one");
    }
    const auto most = static_cast<double>(max_positions_);
    const auto seen = std::max(static_cast<double>(step.offset() + x.shape()[2]), most);
    base *= std::pow(factor_ * seen / most - (factor_ - 1),
                     static_cast<double>(dims_) / static_cast<double>(dims_ - 2));
  }
  return fast::rope(turned, dims_,
                    {.traditional = traditional_,
                     .base = base,
                     .scale = scale_,
                     .offset = step.position(),
                     .frequencies = frequencies_});
}

}  // namespace mlxnx::llm
