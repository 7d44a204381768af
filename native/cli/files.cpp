#include "files.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "mlxnx/error.h"
#include "program/serializer.h"

namespace mlxnx::cli {

OpenFile open_regular(const std::filesystem::path& path, std::string_view who) {
  const auto refuse = [&](const std::string& why) {
    return FormatError(fmt::format("[{}] can't read {}: {}", who, path.string(), why));
  };
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw refuse(error.message());
  if (std::filesystem::is_directory(status)) throw refuse("Is a directory");
  if (!std::filesystem::is_regular_file(status)) throw refuse("it is no regular file");
  errno = 0;
  OpenFile file{std::ifstream(path, std::ios::binary), std::filesystem::file_size(path, error)};
  if (!file.stream) throw refuse(std::strerror(errno));
  if (error) throw refuse(error.message());
  return file;
}

program::Program load_program(const std::filesystem::path& path, std::string_view who) {
  open_regular(path, who);
  try {
    return program::load(path);
  } catch (const std::exception& error) {
    std::string text = error.what();
    if (text.find(path.string()) != std::string::npos) throw;
    constexpr std::string_view kPrefix = "[program] ";
    if (text.starts_with(kPrefix)) text.erase(0, kPrefix.size());
    throw FormatError(fmt::format("[program] {}: {}", path.string(), text));
  }
}

}  // namespace mlxnx::cli
