// What stands behind a TensorFile, for those who read more of it than tensors.
#pragma once

#include <filesystem>
#include <vector>

#include "io/open_file.h"
#include "mlxnx/io.h"

namespace mlxnx {

struct TensorFile::Contents {
  explicit Contents(const std::filesystem::path& path);

  io::OpenFile file;
  std::vector<TensorInfo> tensors;
};

}  // namespace mlxnx
