#include "io/open_file.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "files/file_errors.h"
#include "files/nearest.h"
#include "io/stored_tensor.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

bool is_gguf(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagic = "GGUF";
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

std::string text_of(const files::GgufValue& value) {
  // Whole texts of megabytes are for those who ask for them.
  constexpr std::size_t kMostBytes = 1 << 16;
  switch (value.type()) {
    case files::GgufType::kText:
      return std::string(value.as_text().substr(0, kMostBytes));
    case files::GgufType::kBool:
      return value.as_boolean() ? "true" : "false";
    case files::GgufType::kF32:
    case files::GgufType::kF64:
      return fmt::format("{}", value.as_number());
    case files::GgufType::kU64:
      return std::to_string(value.as_natural());
    default:
      return std::to_string(value.as_integer());
  }
}

files::Metadata metadata_of(const files::GgufFile& gguf) {
  files::Metadata metadata;
  for (std::size_t i = 0; i < gguf.size(); ++i) {
    const files::GgufValue value = gguf.value(i);
    if (value.type() != files::GgufType::kList) metadata.emplace(value.key(), text_of(value));
  }
  return metadata;
}

}  // namespace

OpenFile::OpenFile(const std::filesystem::path& path) : file_(path, "tensor_file") {
  files::naming_file("tensor_file", path, [&] {
    if (is_gguf(file_.bytes())) {
      gguf_ = files::parse_gguf(file_.bytes());
      format_ = "gguf";
      metadata_ = metadata_of(*gguf_);
      tensors_ = std::move(gguf_->tensors);
      return;
    }
    files::SafetensorsHeader header = files::parse_safetensors(file_.bytes());
    format_ = "safetensors";
    metadata_ = std::move(header.metadata);
    tensors_ = std::move(header.tensors);
  });
  by_name_.reserve(tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

const files::StoredTensor* OpenFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const files::StoredTensor& OpenFile::at(std::string_view name) const {
  if (const files::StoredTensor* tensor = find(name)) return *tensor;
  std::vector<std::string_view> names;
  for (const files::StoredTensor& tensor : tensors_) names.push_back(tensor.name);
  throw ArgumentError(fmt::format("[tensor_file] {} has no tensor {:?} among its {}{}",
                                  path().string(), name, names.size(),
                                  files::nearest_hint(name, names)));
}

Tensor OpenFile::read(const files::StoredTensor& tensor) const {
  return files::naming_file("tensor_file", path(), [&] { return read_stored(file_, tensor); });
}

TensorType OpenFile::type_as(const files::StoredTensor& tensor, DType type) const {
  const files::StoredTypeRow& row = files::row_of(tensor.type);
  const std::int64_t length = tensor.shape.empty() ? 0 : tensor.shape.back();
  const std::int64_t row_bytes = length / row.per_block * row.block_bytes;
  const auto size = static_cast<std::int64_t>(size_bytes(type));
  if (tensor.shape.empty() || row_bytes % size != 0) {
    throw FormatError(fmt::format("[tensor_file] {}: tensor {:?}: {}{} can't be taken for {}",
                                  path().string(), tensor.name, row.name, to_string(tensor.shape),
                                  name(type)));
  }
  TensorType wanted{type, tensor.shape};
  wanted.shape.back() = row_bytes / size;
  return wanted;
}

Tensor OpenFile::read_as(const files::StoredTensor& tensor, DType type) const {
  return read_in_place(file_, tensor, type_as(tensor, type));
}

}  // namespace mlxnx::io
