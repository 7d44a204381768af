#include "files/safetensors.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "files/atomic_file.h"
#include "files/file_errors.h"
#include "files/mapped_file.h"
#include "io/stored_tensor.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"

namespace mlxnx {
namespace {

constexpr std::string_view kSafetensorsOp = "safetensors";

}  // namespace

std::map<std::string, Tensor> load_safetensors(const std::filesystem::path& path) {
  const files::MappedFile file(path, kSafetensorsOp);
  return files::naming_file(kSafetensorsOp, path, [&] {
    std::map<std::string, Tensor> tensors;
    for (const files::StoredTensor& stored : files::parse_safetensors(file.bytes()).tensors)
      tensors.emplace(stored.name, io::read_stored(file, stored));
    return tensors;
  });
}

void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<files::StoredTensor> stored;
  for (const auto& [name, tensor] : tensors)
    stored.push_back(files::stored_tensor(name, tensor.type()));
  const std::string start = files::naming_file(
      kSafetensorsOp, path, [&] { return files::safetensors_header(stored, metadata); });
  files::AtomicFile file(path, kSafetensorsOp);
  file.write(start);
  for (const auto& [name, tensor] : tensors) file.write(TensorView(tensor).bytes());
  file.commit();
}

}  // namespace mlxnx
