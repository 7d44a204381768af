#include <algorithm>
#include <string>
#include <vector>

#include "files/safetensors.h"
#include "fuzz.h"

namespace mlxnx::fuzz {
namespace {

void read(std::span<const std::byte> file) {
  files::SafetensorsHeader header = files::parse_safetensors(file);
  std::uint64_t end = 0;
  for (const files::StoredTensor& tensor : header.tensors) {
    require(tensor.bytes == files::stored_bytes(tensor.type, tensor.shape));
    require(end == 0 || tensor.offset == end);
    end = tensor.offset + tensor.bytes;
    require(end <= file.size());
  }
  require(header.tensors.empty() || end == file.size());
  // What was read can be written, and is the same when it is read again.
  const std::string start = files::safetensors_header(header.tensors, header.metadata);
  std::vector<std::byte> again(start.size() + end -
                               (header.tensors.empty() ? 0 : header.tensors[0].offset));
  std::ranges::copy(std::as_bytes(std::span(start)), again.begin());
  const files::SafetensorsHeader other = files::parse_safetensors(again);
  require(other.metadata == header.metadata);
  require(other.tensors.size() == header.tensors.size());
  for (std::size_t i = 0; i < other.tensors.size(); ++i) {
    require(other.tensors[i].name == header.tensors[i].name);
    require(other.tensors[i].type == header.tensors[i].type);
    require(other.tensors[i].shape == header.tensors[i].shape);
  }
}

}  // namespace
}  // namespace mlxnx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return mlxnx::fuzz::read_or_refuse([&] { mlxnx::fuzz::read(mlxnx::fuzz::as_bytes(data, size)); });
}
