#include "io/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>
#include <span>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }

 private:
  int number_;
};

class Mapping {
 public:
  Mapping(const Descriptor& file, std::size_t size, int protection)
      : size_(size), start_(::mmap(nullptr, size, protection, MAP_SHARED, *file, 0)) {}
  ~Mapping() {
    if (start_ != MAP_FAILED) ::munmap(start_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bool failed() const { return start_ == MAP_FAILED; }
  std::byte* data() const { return static_cast<std::byte*>(start_); }

 private:
  std::size_t size_;
  void* start_;
};

std::string new_name() {
  std::random_device device;
  return fmt::format("/mlxnx_{:08x}{:08x}", device(), device());
}

// Sets the size aside: writing to memory that is only promised ends the process where there is
// none.
int reserve(const Descriptor& file, std::size_t size) {
#ifdef __linux__
  return ::posix_fallocate(*file, 0, static_cast<off_t>(size));
#else
  return ::ftruncate(*file, static_cast<off_t>(size)) == 0 ? 0 : errno;
#endif
}

}  // namespace

std::string share(const Tensor& tensor, mode_t permissions) {
  if ((permissions & 0400) == 0 || permissions > 0777) {
    throw ArgumentError(fmt::format(
        "[to_pointer] permissions {:#o}: they lie within 0777, and their owner has to read",
        permissions));
  }
  const TensorView view(tensor);
  const std::span<const std::byte> bytes = view.bytes();
  const std::string name = new_name();
  const Descriptor file(::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, permissions));
  const auto refuse = [&](int error) {
    if (*file >= 0) ::shm_unlink(name.c_str());
    throw BackendError(fmt::format("[to_pointer] {} bytes of shared memory: {}", bytes.size(),
                                   std::strerror(error)));
  };
  if (*file < 0) refuse(errno);
  if (const int error = reserve(file, bytes.size())) refuse(error);
  const Mapping mapping(file, bytes.size(), PROT_READ | PROT_WRITE);
  if (mapping.failed()) refuse(errno);
  std::memcpy(mapping.data(), bytes.data(), bytes.size());
  return name;
}

Tensor claim(const std::string& name, const TensorType& type) {
  const auto refuse = [&](const std::string& why) {
    throw ArgumentError(fmt::format("[from_pointer] shared memory {}: {}", name, why));
  };
  // A path would lead out of the folder that some systems keep it in.
  if (name.find('/', 1) != std::string::npos || name.find('\0') != std::string::npos)
    refuse("this is no name of it");
  const Descriptor file(::shm_open(name.c_str(), O_RDONLY, 0));
  struct stat status = {};
  if (*file < 0 || ::fstat(*file, &status) != 0) refuse(std::strerror(errno));
  const std::size_t wanted =
      static_cast<std::size_t>(element_count(type.shape)) * size_bytes(type.dtype);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto size = static_cast<std::size_t>(status.st_size);
  // Some systems answer whole pages.
  if (wanted == 0 || size < wanted || size >= wanted + page)
    refuse(fmt::format("it holds {} bytes, and {} takes {}", size, to_string(type), wanted));
  const Mapping mapping(file, wanted, PROT_READ);
  if (mapping.failed()) refuse(std::strerror(errno));
  Tensor tensor = Tensor::from_bytes({mapping.data(), wanted}, type);
  ::shm_unlink(name.c_str());
  return tensor;
}

}  // namespace mlxnx::io
