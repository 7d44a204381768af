#include <string>
#include <vector>

#include "files/npy.h"
#include "fuzz.h"

namespace mlxnx::fuzz {
namespace {

void read(std::span<const std::byte> file) {
  const files::NpyHeader header = files::parse_npy(file);
  require(header.size + header.bytes == file.size());
  std::vector<std::byte> elements(file.begin() + static_cast<std::ptrdiff_t>(header.size),
                                  file.end());
  files::make_native(header, elements);
  for (const std::byte element : elements)
    require(header.type != files::StoredType::kBool || element <= std::byte{1});
  const TensorType type{*files::row_of(header.type).dtype, header.shape};
  const std::string start = files::npy_header(type);
  const files::NpyHeader again = files::parse_npy_header(std::as_bytes(std::span(start)));
  require(again.size == start.size() && again.bytes == header.bytes);
  require(again.shape == header.shape && !again.is_big_endian && !again.is_column_major);
}

}  // namespace
}  // namespace mlxnx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return mlxnx::fuzz::read_or_refuse([&] { mlxnx::fuzz::read(mlxnx::fuzz::as_bytes(data, size)); });
}
