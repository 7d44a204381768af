// GGUF files as checkpoints: the names of their tensors and keys as Hugging Face's, and their
// blocks as MLX's quantized weights.
#pragma once

#include <memory>
#include <optional>

#include "io/model_folder.h"
#include "io/open_file.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/quantize.h"

namespace mlxnx::io {

/// The model in a GGUF file. Throws: UnsupportedError for an architecture that is not known,
/// FormatError where keys that it needs are missing.
Source open_gguf(const std::shared_ptr<const OpenFile>& file, const Checkpoint::Options& options);

/// The blocks of a matrix in MLX's form of the same numbers; nothing where there is none. Throws:
/// UnsupportedError for scales that the form can't hold.
std::optional<Quantized> read_packed(const OpenFile& file, const files::StoredTensor& tensor);

}  // namespace mlxnx::io
