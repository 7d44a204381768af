// How weights are quantized, as `config.json` says it.
#pragma once

#include "mlxnx/config.h"
#include "mlxnx/quantize.h"

namespace mlxnx::io {

/// `group_size`, `bits` and `mode`. All of the form are known.
Config settings_of(const Quantization& form);

/// The inverse; what is absent is left open, but the mode, which is affine then.
/// Throws: FormatError, ArgumentError for what is no such form.
Quantization form_of(const Config& settings);

/// Notes it for the whole model, under both names that are in use.
void note_quantization(Config& config, const Config& settings);

}  // namespace mlxnx::io
