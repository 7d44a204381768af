// How weights are quantized, as `config.json` says it.
#pragma once

#include <optional>
#include <string_view>

#include "mlxnx/config.h"
#include "mlxnx/quantize.h"

namespace mlxnx::io {

/// `group_size`, `bits` and `mode`. All of the form are known.
Config settings_of(const Quantization& form);

/// The inverse; what is absent is left open, but the mode, which is affine then.
/// Throws: FormatError for what is no such form.
Quantization form_of(const Config& settings);

/// How a layer with these tensors is quantized: what the settings of the model say of it, else,
/// with the groups that they say of all, what the shapes tell; nothing where its weights are no
/// words. Throws: FormatError where settings and shapes contradict each other, or several answers
/// fit.
std::optional<Quantization> quantization_of(const Config& config, std::string_view layer,
                                            const TensorType& weight, const TensorType& scales);

/// Notes it for the whole model, under both names that are in use.
void note_quantization(Config& config, const Config& settings);

}  // namespace mlxnx::io
