#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "program/tensor_file.h"

namespace mlxnx {
namespace {

std::string named(const std::filesystem::path& path, const std::string& text) {
  constexpr std::string_view kOfPrograms = "[program] ";
  return fmt::format("[safetensors] {}: {}", path.string(),
                     text.starts_with(kOfPrograms) ? text.substr(kOfPrograms.size()) : text);
}

std::vector<std::byte> read_all(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);  // also of nothing but files
  if (error) throw ArgumentError(named(path, "can't be read: " + error.message()));
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!file) throw ArgumentError(named(path, "can't be read"));
  return bytes;
}

// A file that takes its place only once it is whole and on the disk.
void write_all(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  static std::atomic<unsigned> number = 0;
  const std::string partial =
      fmt::format("{}.{}-{}.partial", path.string(), ::getpid(), number.fetch_add(1));
  const int file = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  const auto refuse = [&](int error) {
    if (file >= 0) {
      ::close(file);
      ::unlink(partial.c_str());
    }
    throw ArgumentError(named(path, fmt::format("can't be written: {}", std::strerror(error))));
  };
  if (file < 0) refuse(errno);
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(file) != 0 || ::rename(partial.c_str(), path.c_str()) != 0) refuse(errno);
  ::close(file);
}

}  // namespace

std::map<std::string, Tensor> load_safetensors(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_all(path);
  try {
    return program::tensor_file_from_bytes(bytes).tensors;
  } catch (const FormatError& error) {
    throw FormatError(named(path, error.what()));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(path, error.what()));
  }
}

void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::byte> bytes;
  try {
    bytes = program::to_bytes({.metadata = metadata, .tensors = tensors});
  } catch (const ArgumentError& error) {
    throw ArgumentError(named(path, error.what()));
  }
  write_all(path, bytes);
}

}  // namespace mlxnx
