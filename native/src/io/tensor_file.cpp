#include "io/gguf_model.h"
#include "io/stored_tensor.h"
#include "io/tensor_file_contents.h"
#include "mlxnx/io.h"

namespace mlxnx {

TensorFile::Contents::Contents(const std::filesystem::path& path) : file(path) {
  for (const files::StoredTensor& stored : file.tensors()) {
    tensors.push_back({.name = stored.name,
                       .type = std::string(files::row_of(stored.type).name),
                       .dtype = io::type_of(stored.type),
                       .shape = stored.shape,
                       .bytes = stored.bytes});
  }
}

TensorFile::TensorFile(const std::filesystem::path& path)
    : contents_(std::make_shared<const Contents>(path)) {}

std::string_view TensorFile::format() const { return contents_->file.format(); }
const std::vector<TensorInfo>& TensorFile::tensors() const { return contents_->tensors; }
const std::map<std::string, std::string>& TensorFile::metadata() const {
  return contents_->file.metadata();
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const files::StoredTensor* stored = contents_->file.find(name);
  return stored == nullptr
             ? nullptr
             : &contents_
                    ->tensors[static_cast<std::size_t>(stored - contents_->file.tensors().data())];
}

Tensor TensorFile::read(std::string_view name) const {
  return contents_->file.read(contents_->file.at(name));
}

std::optional<Quantized> TensorFile::read_quantized(std::string_view name) const {
  return io::read_packed(contents_->file, contents_->file.at(name));
}

std::map<std::string, Tensor> TensorFile::read(
    const std::function<bool(std::string_view name)>& which) const {
  std::map<std::string, Tensor> tensors;
  for (const files::StoredTensor& stored : contents_->file.tensors()) {
    if (!which || which(stored.name)) tensors.emplace(stored.name, contents_->file.read(stored));
  }
  return tensors;
}

}  // namespace mlxnx
