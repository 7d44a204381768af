// Tokenizers as the metadata of GGUF files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "files/gguf_writer.h"

namespace mlxnx::io {

/// What a model folder's `tokenizer.json` says, as `tokenizer.ggml.*`, for a model that knows
/// `size` tokens.
/// Throws: UnsupportedError for anything but byte-level BPE, FormatError for no such file.
std::vector<files::GgufEntry> gguf_tokenizer(const std::filesystem::path& folder,
                                             std::int64_t size);

}  // namespace mlxnx::io
