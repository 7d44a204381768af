#include "mlxc/ending.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__) && defined(__GLIBC__)
#include <dlfcn.h>
#include <link.h>
#endif

namespace mlxnx::mlxc {

constinit std::atomic<bool> process_is_ending{false};
constinit std::atomic<bool> host_ends_at_once{false};
constinit std::atomic<int> AtWork::threads_{0};
constinit thread_local int AtWork::depth_ = 0;

namespace {

constexpr auto kPatience = std::chrono::milliseconds(300);
// For what nobody counts, such as freeing tensors.
constexpr auto kLeast = std::chrono::milliseconds(1);

thread_local bool is_the_ender = false;
std::atomic<bool> has_waited{false};
std::atomic<bool> all_rest{false};
[[maybe_unused]] std::atomic<int> exit_status{0};

}  // namespace

void rest() {
  if (is_the_ender) return;
  if (AtWork::depth_ > 0) AtWork::threads_.fetch_sub(1);
  while (true) std::this_thread::sleep_for(std::chrono::hours(24));
}

void wait_for_others() {
  constexpr auto kPause = std::chrono::microseconds(200);
  const int own = AtWork::depth_ > 0 ? 1 : 0;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::this_thread::sleep_for(kLeast);
  while (AtWork::threads_.load() > own && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(kPause);
  all_rest = AtWork::threads_.load() <= own;
}

namespace {

#if defined(__linux__) && defined(__GLIBC__)
[[noreturn]] void leave(int status) {
  std::cout.flush();
  std::clog.flush();
  std::fflush(nullptr);
  ::_exit(status);
}

// MLX 0.31 unloads its compiled kernels at exit, one of which may be running.
void keep_libraries_loaded() {
  std::vector<std::string> names;  // none is opened inside of the walk, which holds a lock
  const auto note = [](dl_phdr_info* library, std::size_t, void* into) {
    static_cast<std::vector<std::string>*>(into)->emplace_back(library->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(note, &names);
  for (const std::string& name : names)
    dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

void begin_end(int status, void*) {
  if (host_ends_at_once) leave(status);
  if (has_waited.exchange(true)) return;
  exit_status = status;
  is_the_ender = true;
  process_is_ending = true;
  wait_for_others();
  if (!all_rest) keep_libraries_loaded();
}

// Runs after all exit handlers and before the destructors of the libraries that stand below, of
// which OpenBLAS's is the one that matters: a library opened later comes later.
[[gnu::destructor]] void finish_end() {
  if (process_is_ending && !all_rest) leave(exit_status);
}
#else
void begin_end() {
  if (has_waited.exchange(true)) return;
  is_the_ender = true;
  process_is_ending = true;
  wait_for_others();
}
#endif

}  // namespace

void watch_for_the_end() {
#if defined(__linux__) && defined(__GLIBC__)
  ::on_exit(&begin_end, nullptr);
#else
  std::atexit(&begin_end);
#endif
}

void end_at_once() { host_ends_at_once = true; }

}  // namespace mlxnx::mlxc
