// Golden data written for a test.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace mlxnx::cli {

/// A folder of golden data that goes away with the object.
class GoldenFolder {
 public:
  /// `lines` of ops.jsonl, and the elements of ops.bin.
  GoldenFolder(const std::string& lines, const std::vector<float>& values) {
    static int number = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("mlxnx_golden_" + std::to_string(::getpid()) + "_" + std::to_string(number++));
    std::filesystem::create_directories(path_);
    std::ofstream(path_ / "ops.jsonl") << lines;
    std::ofstream data(path_ / "ops.bin", std::ios::binary);
    data.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
  ~GoldenFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  GoldenFolder(const GoldenFolder&) = delete;
  GoldenFolder& operator=(const GoldenFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mlxnx::cli
