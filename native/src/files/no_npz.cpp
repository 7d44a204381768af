// In place of npz.cpp where there is no libzip.
#include "files/npz.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

[[noreturn]] void refuse() {
  throw UnsupportedError(
      "this library was built without libzip, which .npz files need; install libzip-dev (Debian), "
      "libzip-devel (Fedora) or libzip (Arch Linux, Homebrew) and build anew");
}

}  // namespace

struct NpzReader::Archive {};

NpzReader::NpzReader(std::span<const std::byte>) { refuse(); }
NpzReader::~NpzReader() = default;
std::span<const NpzMember> NpzReader::members() const { refuse(); }
void NpzReader::read(const NpzMember&, std::span<std::byte>) const { refuse(); }

void write_npz(AtomicFile&, std::span<const NpzArray>, bool,
               const std::function<std::span<const std::byte>(std::size_t)>&) {
  refuse();
}

}  // namespace mlxnx::files
