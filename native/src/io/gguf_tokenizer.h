// Tokenizers as the metadata of GGUF files.
#pragma once

#include <filesystem>
#include <vector>

#include "files/gguf_writer.h"
#include "mlxnx/config.h"

namespace mlxnx::io {

/// What a model folder's `tokenizer.json` says, as `tokenizer.ggml.*`. `config` knows how many
/// tokens the model has, and where texts begin and end.
/// Throws: UnsupportedError for anything but byte-level BPE, FormatError for no such file.
std::vector<files::GgufEntry> gguf_tokenizer(const std::filesystem::path& folder,
                                             const Config& config);

}  // namespace mlxnx::io
