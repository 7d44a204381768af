// In place of npz.cpp where there is no libzip.
#include "files/npz.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

[[noreturn]] void refuse_npz() {
  throw UnsupportedError(
      "this library was built without libzip, which .npz files need; install libzip-dev (Debian), "
      "libzip-devel (Fedora) or libzip (Arch Linux, Homebrew) and build anew");
}

}  // namespace

struct NpzReader::Archive {};

NpzReader::NpzReader(std::span<const std::byte>) { refuse_npz(); }
NpzReader::~NpzReader() = default;
std::span<const NpzMember> NpzReader::members() const { refuse_npz(); }
void NpzReader::read(const NpzMember&, std::span<std::byte>) const { refuse_npz(); }

void write_npz(AtomicFile&, std::span<const NpzArray>, bool,
               const std::function<std::span<const std::byte>(std::size_t)>&) {
  refuse_npz();
}

}  // namespace mlxnx::files
