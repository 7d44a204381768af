#include <vector>

#include "files/npz.h"
#include "fuzz.h"

namespace mlxnx::fuzz {
namespace {

void read(std::span<const std::byte> file) {
  constexpr std::uint64_t kMostGrowth = 1100;  // of anything that is deflated
  const files::NpzReader reader(file);
  std::uint64_t bytes = 0;
  for (const files::NpzMember& member : reader.members()) bytes += member.header.bytes;
  require(bytes / kMostGrowth <= file.size());
  for (const files::NpzMember& member : reader.members()) {
    std::vector<std::byte> elements(member.header.bytes);
    reader.read(member, elements);
    files::make_native(member.header, elements);
  }
}

}  // namespace
}  // namespace mlxnx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return mlxnx::fuzz::read_or_refuse([&] { mlxnx::fuzz::read(mlxnx::fuzz::as_bytes(data, size)); });
}
