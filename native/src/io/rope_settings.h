// What `config.json` says of rotary positions, in the places where it may stand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/config.h"

namespace mlxnx::io {

struct RopeSettings {
  std::optional<double> base;
  std::optional<double> local_base;  ///< of layers with a sliding window, where they have their own
  std::optional<double> part;        ///< of a head that is turned
  std::string kind = "default";      ///< of scaling
  Config scaling = {};               ///< with what the kind needs
};

/// Of `rope_parameters`, as transformers 5 writes them, with those of each kind of layer or not, or
/// of `rope_theta`, `rope_scaling` and what stands beside them.
/// Throws: UnsupportedError where layers of several kinds differ in more than their base.
RopeSettings rope_settings(const Config& config);

/// The kind of `rope_scaling`: `type`, which mlx-lm asks for first, or `rope_type`.
std::string rope_kind(const Config& scaling);

/// By how much llama 3's scaling divides each frequency of heads of so many elements.
std::vector<double> llama3_factors(const Config& scaling, double base, std::int64_t head_dim);

/// The inverse: nothing where all factors are 1, the settings whose factors they are, rounded.
/// Throws: UnsupportedError where no such settings are found.
std::optional<Config> llama3_scaling(const std::vector<float>& factors, double base);

}  // namespace mlxnx::io
