#include "io/quantization_settings.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "files/file_errors.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

constexpr std::array<std::int64_t, 6> kBits = {2, 3, 4, 5, 6, 8};
constexpr std::array<std::int64_t, 3> kGroups = {32, 64, 128};

// Modes of floats have scales of one byte, and as many words for each as the mode says.
Quantization by_shape_of_floats(std::int64_t words, std::int64_t groups, const std::string& text) {
  constexpr std::array kModes = {QuantizationMode::kNvfp4, QuantizationMode::kMxfp4,
                                 QuantizationMode::kMxfp8};
  constexpr std::array<std::array<std::int64_t, 2>, 3> kForms = {{{4, 16}, {4, 32}, {8, 32}}};
  for (std::size_t i = 0; i < kModes.size(); ++i) {
    const auto [bits, group] = kForms[i];
    if (words * 32 == groups * group * bits)
      return {.mode = kModes[i], .bits = bits, .group_size = group};
  }
  throw FormatError(text + ": no mode of floats has so many words for each scale");
}

struct Said {
  Quantization form;
  bool is_own;  ///< of this layer, not of all
};

// What the settings say of a layer: its own entry, else that of all.
std::optional<Said> configured(const Config& config, std::string_view layer) {
  if (!config.contains("quantization")) return std::nullopt;
  const Config settings = config.get<Config>("quantization");
  if (settings.contains(layer) && settings.holds_object(layer))
    return Said{form_of(settings.get<Config>(layer)), true};
  if (!settings.contains("bits") && !settings.contains("group_size")) return std::nullopt;
  return Said{form_of(settings), false};
}

Quantization by_shape(std::int64_t words, std::int64_t groups, const std::optional<Said>& said,
                      const std::string& text) {
  std::vector<Quantization> fitting;
  for (const std::int64_t group : kGroups) {
    for (const std::int64_t bits : kBits) {
      if (words * 32 != groups * group * bits) continue;
      const Quantization form{.bits = bits, .group_size = group};
      // Settings of all layers are those of most: another may have other bits.
      if (said && said->form.mode == QuantizationMode::kAffine &&
          (!said->is_own || said->form.bits.value_or(bits) == bits) &&
          said->form.group_size.value_or(said->form.bits == bits ? group : 0) == group)
        return form;
      fitting.push_back(form);
    }
  }
  if (said && said->is_own && said->form.bits) {
    throw FormatError(
        fmt::format("{}: the settings say {} bits in groups of {}, which does not fit", text,
                    *said->form.bits, said->form.group_size.value_or(64)));
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.empty()) throw FormatError(text + ": no bits and groups fit these shapes");
  std::string forms;
  for (const Quantization& form : fitting)
    forms += fmt::format("{}{} bits in groups of {}", forms.empty() ? "" : ", ", *form.bits,
                         *form.group_size);
  throw FormatError(fmt::format("{}: {} fit these shapes, and no settings say which", text, forms));
}

}  // namespace

Config settings_of(const Quantization& form) {
  Config settings;
  settings.set("group_size", *form.group_size);
  settings.set("bits", *form.bits);
  settings.set("mode", std::string(name(form.mode)));
  return settings;
}

Quantization form_of(const Config& settings) {
  Quantization form;
  const auto mode = settings.get<std::string>("mode", "affine");
  try {
    form.mode = quantization_mode(mode);
  } catch (const ArgumentError&) {
    throw FormatError(fmt::format("weights can't be quantized by {:?}", files::cut(mode)));
  }
  if (settings.contains("bits")) form.bits = settings.get<std::int64_t>("bits");
  if (settings.contains("group_size")) form.group_size = settings.get<std::int64_t>("group_size");
  return form;
}

void note_quantization(Config& config, const Config& settings) {
  config.set("quantization", settings);
  config.set("quantization_config", settings);
}

std::optional<Quantization> quantization_of(const Config& config, std::string_view layer,
                                            const TensorType& weight, const TensorType& scales) {
  if (weight.dtype != DType::u32) return std::nullopt;
  const std::string text =
      fmt::format("the layer {:?} has weights {} and scales {}", files::cut(std::string(layer)),
                  to_string(weight), to_string(scales));
  if (weight.shape.empty() || scales.shape.empty()) throw FormatError(text);
  const std::int64_t words = weight.shape.back(), groups = scales.shape.back();
  if (scales.dtype == DType::u8) return by_shape_of_floats(words, groups, text);
  return by_shape(words, groups, configured(config, layer), text);
}

}  // namespace mlxnx::io
