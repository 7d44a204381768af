// GGUF files as checkpoints: the names of their tensors and keys as Hugging Face's, and their
// blocks as MLX's quantized weights.
#pragma once

#include <memory>

#include "io/model_folder.h"
#include "mlxnx/checkpoint.h"

namespace mlxnx::io {

/// The model in a GGUF file. Throws: UnsupportedError for an architecture that is not known,
/// FormatError where keys that it needs are missing.
Source open_gguf(const std::shared_ptr<const OpenFile>& file, const Checkpoint::Options& options);

}  // namespace mlxnx::io
