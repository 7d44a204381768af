// What stands behind a Checkpoint, for those who read more of it than tensors.
#pragma once

#include <filesystem>
#include <vector>

#include "io/model_folder.h"
#include "mlxnx/checkpoint.h"

namespace mlxnx {

struct Checkpoint::Contents : io::Source {
  Contents(std::filesystem::path path, io::Source source);

  std::filesystem::path path;
  std::vector<CheckpointTensor> tensors;

  /// What a GGUF file says; null of another.
  const files::GgufFile* gguf() const { return gguf_file ? gguf_file->gguf() : nullptr; }
};

}  // namespace mlxnx
