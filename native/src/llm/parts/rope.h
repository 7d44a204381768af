// Rotary positions as the settings of models describe them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

struct RopeSettings {
  std::int64_t dims = 0;  ///< how many numbers of each row are turned
  double base = 10'000;
  bool traditional = false;
  bool backwards = false;                        ///< by the negative angle
  std::optional<Config> scaling = std::nullopt;  ///< `rope_scaling`
  std::optional<std::int64_t> max_positions = std::nullopt;
  /// Of what "longrope" turns; none: as its lengths have it.
  std::optional<double> magnitude = std::nullopt;
};

/// `rope_scaling` of the settings, if it holds anything.
std::optional<Config> rope_scaling(const Config& config, std::string_view key = "rope_scaling");

/// Throws: UnsupportedError where `rope_scaling` is of another kind than these.
void require_rope_scaling(const Config& config, std::initializer_list<std::string_view> kinds);

/// Turns queries and keys by their positions: plainly, or scaled by "linear", "dynamic", "llama3",
/// "yarn", "longrope" or "proportional". mlx-lm: rope_utils.initialize_rope
class Rope {
 public:
  /// Throws: UnsupportedError for another kind, FormatError where its settings are incomplete.
  explicit Rope(const RopeSettings& settings);
  /// `x` `[batch, heads, length, size]`, whose first row has the position of the step's first
  /// token.
  Tensor operator()(const Tensor& x, const Step& step) const;

 private:
  std::int64_t dims_;
  double base_, scale_ = 1;
  double magnitude_ = 1;  ///< of what is turned
  bool traditional_;
  std::optional<Tensor> frequencies_;
  /// Of dynamic bases, which grow with the length seen.
  double factor_ = 0;
  std::int64_t max_positions_ = 0;
};

}  // namespace mlxnx::llm
