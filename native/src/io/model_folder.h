// Where a checkpoint's tensors and settings come from.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/entries.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/config.h"

namespace mlxnx::io {

/// What a folder or file holds, with names and forms as they stand there.
struct Source {
  std::string format;
  Config config = {};
  Entries entries = {};
  std::shared_ptr<const OpenFile> gguf_file = nullptr;
};

/// A folder in the layout of Hugging Face: `config.json`, and the files that
/// `model.safetensors.index.json` names, besides all that are called `model*.safetensors`.
/// Throws: see Checkpoint.
Source open_folder(const std::filesystem::path& folder);

/// The names of the regular files in a folder, in order. Throws: FileError where it can't be read.
std::vector<std::string> listed_files(const std::filesystem::path& folder);

/// A single file.
Source open_file(const std::filesystem::path& path, const Checkpoint::Options& options);

}  // namespace mlxnx::io
