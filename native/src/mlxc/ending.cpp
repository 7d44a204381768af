#include "mlxc/ending.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#if defined(__linux__) && defined(__GLIBC__)
#include <dlfcn.h>
#include <link.h>
#endif

namespace mlxnx::mlxc {

constinit std::atomic<bool> process_is_ending{false};
constinit std::atomic<int> AtWork::threads_{0};
constinit thread_local int AtWork::depth_ = 0;

namespace {

constexpr auto kPatience = std::chrono::milliseconds(300);
// For threads that build graphs, which nobody counts: a call lasts microseconds.
constexpr auto kLeast = std::chrono::milliseconds(1);

thread_local bool is_the_ender = false;
std::atomic<bool> has_waited{false};
std::atomic<bool> all_rest{false};
std::atomic<bool> leaves_at_once{false};

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
  const auto keep = [](dl_phdr_info* library, std::size_t, void*) {
    dlopen(library->dlpi_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    return 0;
  };
  dl_iterate_phdr(keep, nullptr);
}

void begin_end(int status, void*) {
  if (leaves_at_once) leave(status);
  if (has_waited.exchange(true)) return;
  is_the_ender = true;
  process_is_ending = true;
  wait_for_others();
  if (!all_rest) keep_libraries_loaded();
}

// The last handler of this library. Later come those of the libraries below, such as OpenBLAS's.
void finish_end(int status, void*) {
  if (process_is_ending && !all_rest) leave(status);
}

const bool is_last_handler = (::on_exit(&finish_end, nullptr), true);
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
  static_cast<void>(is_last_handler);
  ::on_exit(&begin_end, nullptr);
#else
  std::atexit(&begin_end);
#endif
}

void end_at_once() { leaves_at_once = true; }

}  // namespace mlxnx::mlxc
