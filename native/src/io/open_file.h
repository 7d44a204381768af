// What stands behind a TensorFile, for those who read more of it than tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/gguf.h"
#include "files/mapped_file.h"
#include "files/safetensors.h"
#include "files/stored.h"
#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// A file of tensors, with what its header says.
class OpenFile {
 public:
  /// Throws: see TensorFile.
  explicit OpenFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  std::string_view format() const { return format_; }
  const files::Metadata& metadata() const { return metadata_; }
  const std::vector<files::StoredTensor>& tensors() const { return tensors_; }
  const files::StoredTensor* find(std::string_view name) const;
  /// The same. Throws: ArgumentError with the nearest name where there is none.
  const files::StoredTensor& at(std::string_view name) const;

  /// What a GGUF file says; null of another.
  const files::GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

  std::span<const std::byte> bytes() const { return file_.bytes(); }
  /// The elements as they are stored.
  std::span<const std::byte> bytes(const files::StoredTensor& tensor) const {
    return file_.bytes().subspan(tensor.offset, tensor.bytes);
  }
  /// Gives back the memory of these bytes, which are read anew if somebody needs them.
  void forget(const files::StoredTensor& tensor) const {
    file_.forget(tensor.offset, tensor.bytes);
  }
  Tensor read(const files::StoredTensor& tensor) const;
  /// The bytes of the elements as if they were of `type`: the last axis is as long as they make it.
  /// Throws: FormatError where they don't fill a row of whole elements.
  TensorType type_as(const files::StoredTensor& tensor, DType type) const;
  Tensor read_as(const files::StoredTensor& tensor, DType type) const;

 private:
  files::MappedFile file_;
  std::string_view format_;
  files::Metadata metadata_;
  std::vector<files::StoredTensor> tensors_;
  std::optional<files::GgufFile> gguf_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace mlxnx::io
