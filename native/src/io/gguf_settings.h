// The settings of a model as GGUF files have them.
#pragma once

#include <vector>

#include "files/gguf_writer.h"
#include "io/gguf_names.h"
#include "mlxnx/config.h"

namespace mlxnx::io {

/// The settings in `config`, under their names in a file of `architecture`. `rows` are those of the
/// embedding, which is what the size of a vocabulary means there; 0 where it is not known.
/// Throws: UnsupportedError for settings that change what a model computes and have no form there,
/// unless they are what such a file means anyway, FormatError for numbers that are too large.
std::vector<files::GgufEntry> gguf_settings(const Config& config,
                                            const GgufArchitecture& architecture,
                                            std::int64_t rows);

}  // namespace mlxnx::io
