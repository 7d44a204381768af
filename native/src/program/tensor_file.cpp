#include "program/tensor_file.h"

#include <cstring>
#include <exception>

#include "files/stored.h"
#include "mlxnx/error.h"

namespace mlxnx::program {
namespace {

[[noreturn]] void refuse(const std::exception& error) {
  throw FormatError(std::string("[program] ") + error.what());
}

TensorFile read(std::span<const std::byte> bytes) {
  files::SafetensorsHeader header = files::parse_safetensors(bytes);
  TensorFile file{.metadata = std::move(header.metadata), .tensors = {}};
  for (const files::StoredTensor& stored : header.tensors) {
    const files::StoredTypeRow& row = files::row_of(stored.type);
    if (!row.dtype || stored.type == files::StoredType::kBool)
      throw UnsupportedError("element type " + std::string(row.name) + " is not supported");
    file.tensors.emplace(stored.name, Tensor::from_bytes(bytes.subspan(stored.offset, stored.bytes),
                                                         {*row.dtype, stored.shape}));
  }
  return file;
}

}  // namespace

std::vector<std::byte> to_bytes(const TensorFile& file) {
  std::vector<files::StoredTensor> stored;
  std::size_t size = 0;
  for (const auto& [name, tensor] : file.tensors) {
    stored.push_back(files::stored_tensor(name, tensor.type()));
    size += tensor.byte_size();
  }
  std::string start;
  try {
    start = files::safetensors_header(stored, file.metadata);
  } catch (const ArgumentError& error) {
    throw ArgumentError(std::string("[program] ") + error.what());
  }
  std::vector<std::byte> bytes(start.size() + size);
  std::memcpy(bytes.data(), start.data(), start.size());
  std::size_t position = start.size();
  for (const auto& [name, tensor] : file.tensors) {
    tensor.read(std::span(bytes).subspan(position, tensor.byte_size()));
    position += tensor.byte_size();
  }
  return bytes;
}

TensorFile tensor_file_from_bytes(std::span<const std::byte> bytes) {
  try {
    return read(bytes);
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(std::string("[program] ") + error.what());
  } catch (const FormatError& error) {
    refuse(error);
  } catch (const ArgumentError& error) {
    refuse(error);
  }
}

}  // namespace mlxnx::program
