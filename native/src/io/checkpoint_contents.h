// What stands behind a Checkpoint, for those who read more of it than tensors.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/entries.h"
#include "mlxnx/checkpoint.h"

namespace mlxnx {

struct Checkpoint::Contents {
  std::filesystem::path path;
  Options options;
  std::string format;
  Config config;
  io::Entries entries;
  std::vector<CheckpointTensor> tensors;
  std::optional<std::string> chat_template;
  std::shared_ptr<const io::OpenFile> gguf_file;

  /// What a GGUF file says; null of another.
  const files::GgufFile* gguf() const { return gguf_file ? gguf_file->gguf() : nullptr; }
};

}  // namespace mlxnx
