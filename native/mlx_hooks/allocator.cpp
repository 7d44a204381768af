// MLX's allocator, exported in front of MLX's own, which uses whatever malloc answers: where there
// is no memory, this one throws. It does nothing where there is a GPU, whose allocator throws
// itself.
#include <dlfcn.h>

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "mlx/allocator.h"
#include "mlx/device.h"
#include "mlx/memory.h"
#include "mlx/stream.h"
#include "mlx/utils.h"
#include "mlx_hooks/kernel.h"
#include "mlx_hooks/large_pages.h"
#include "mlxc/ending.h"
#include "mlxc/memory.h"
#include "mlxc/thread_state.h"

namespace {

namespace core = mlx::core;
using core::allocator::Allocator;
using core::allocator::Buffer;

// Allocations left until one fails, and how many fail then.
std::atomic<std::int64_t> until_failure{-1};
std::atomic<std::int64_t> failures{0};

bool is_to_fail() {
  if (until_failure.load(std::memory_order_relaxed) < 0) [[likely]]
    return false;
  return until_failure.fetch_sub(1) <= 1 && failures.fetch_sub(1) > 0;
}

class NoMemory : public std::bad_alloc {
 public:
  explicit NoMemory(std::size_t bytes) {
    std::snprintf(text_, sizeof(text_), "out of memory: %zu bytes can't be had", bytes);
  }
  const char* what() const noexcept override { return text_; }

 private:
  char text_[64];
};

// MLX counts an allocation even if it failed, so it has to be tried beforehand. What is small is
// hardly ever refused, and miscounts little.
bool can_be_had(std::size_t bytes) {
  constexpr std::size_t kLeastTried = std::size_t{64} << 10;
  if (bytes < kLeastTried) return true;
  void* volatile memory = std::malloc(bytes + sizeof(std::size_t));  // volatile: else left out
  std::free(memory);
  return memory != nullptr;
}

// What was started may hold memory that it is about to free. It also uses memory that the caller
// frees when it gives up.
void make_room() {
  try {
    if (mlxnx::mlxc::thread_state.is_evaluating)
      core::synchronize(core::default_stream(core::Device::cpu));
    // MLX 0.32 waits for all streams here, which a kernel on one of them must not.
    if (!mlx_hooks::is_in_kernel()) core::clear_cache();
  } catch (const std::exception&) {
    // What has failed there is told to whoever evaluates it.
  }
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

class CheckedAllocator final : public Allocator {
 public:
  explicit CheckedAllocator(Allocator& own) : own_(own) {}

  Buffer malloc(std::size_t bytes) override {
    if (is_to_fail()) {
      make_room();
      throw NoMemory(bytes);
    }
    if (!can_be_had(bytes)) [[unlikely]] {
      make_room();
      if (!can_be_had(bytes)) throw NoMemory(bytes);
    }
    Buffer buffer = own_.malloc(bytes);
    if (buffer.ptr() == nullptr) [[unlikely]] {
      make_room();
      throw NoMemory(bytes);
    }
    mlx_hooks::ask_for_large_pages(buffer.raw_ptr(), bytes);
    return buffer;
  }
  void free(Buffer buffer) override {
    if (!mlxnx::mlxc::is_ending()) own_.free(buffer);  // it may be gone
  }
  std::size_t size(Buffer buffer) const override { return own_.size(buffer); }
  Buffer make_buffer(void* memory, std::size_t bytes) override {
    if (!mlxnx::mlxc::thread_state.adopts) return own_.make_buffer(memory, bytes);
    // As MLX's own buffers look: their size stands in front of the elements.
    std::byte* const start = static_cast<std::byte*>(memory) - sizeof(std::size_t);
    std::memcpy(start, &bytes, sizeof bytes);
    return Buffer(start);
  }
  void release(Buffer buffer) override { own_.release(buffer); }

 private:
  Allocator& own_;
};

void read_environment() {
  const char* const text = std::getenv("MLXNX_FAIL_ALLOCATION");
  std::int64_t first = 0;
  if (text == nullptr) return;
  if (std::from_chars(text, text + std::strlen(text), first).ec == std::errc())
    mlxnx::mlxc::fail_allocations(first);
}

Allocator& make_allocator() {
  const auto find_own =
      reinterpret_cast<Allocator& (*)()>(dlsym(RTLD_NEXT, "_ZN3mlx4core9allocator9allocatorEv"));
  if (core::is_available(core::Device::gpu)) return find_own();
  read_environment();
  mlxnx::mlxc::can_adopt_memory = true;
  return *new CheckedAllocator(find_own());  // never destroyed, since others free memory at exit
}

}  // namespace

mlx::core::allocator::Allocator& mlx::core::allocator::allocator() {
  static Allocator& checked = make_allocator();
  return checked;
}

void mlxnx::mlxc::fail_allocations(std::int64_t first, std::int64_t count) {
  failures = count;
  until_failure = first > 0 ? first : -1;
}
