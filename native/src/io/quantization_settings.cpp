#include "io/quantization_settings.h"

#include <string>

namespace mlxnx::io {

Config settings_of(const Quantization& form) {
  Config settings;
  settings.set("group_size", *form.group_size);
  settings.set("bits", *form.bits);
  settings.set("mode", std::string(name(form.mode)));
  return settings;
}

Quantization form_of(const Config& settings) {
  Quantization form;
  form.mode = quantization_mode(settings.get<std::string>("mode", "affine"));
  if (settings.contains("bits")) form.bits = settings.get<std::int64_t>("bits");
  if (settings.contains("group_size")) form.group_size = settings.get<std::int64_t>("group_size");
  return form;
}

void note_quantization(Config& config, const Config& settings) {
  config.set("quantization", settings);
  config.set("quantization_config", settings);
}

}  // namespace mlxnx::io
