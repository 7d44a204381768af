// Threads that share one piece of work with its caller. They stay for the next piece, since
// starting a thread takes longer than many a matrix product, and wait awake for a moment, since a
// network's products follow closely. Nobody waits for a helper that comes late: parts belong to
// whoever takes them first. One that lost its core within a part is waited for; then the callers
// work alone for a while, so that on a busy machine helpers cost next to nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <new>

#include "mlxc/ending.h"

namespace mlxnx::mlxc {

class Crew {
 public:
  /// The process's own; never destroyed, since helpers may be in it when the process ends.
  static Crew& process();

  Crew() = default;
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// Calls `body` with each of 0 … parts - 1, on this thread and at most `threads - 1` others, and
  /// returns when all calls have, or those that had begun when the process ended. `body` must not
  /// throw. A thread that finds the crew at work for another does everything itself. Any thread.
  template <typename Body>
  void run(int parts, int threads, const Body& body) {
    Work work{parts, std::min(threads, parts) - 1, &body,
              [](const void* of, int part) { (*static_cast<const Body*>(of))(part); }};
    share(work);
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Work {
    Work(int parts, int places, const void* body, void (*call)(const void*, int))
        : parts(parts), body(body), call(call), places(places) {}
    /// How many it took.
    int take_parts() {
      int taken = 0;
      for (int part = next.fetch_add(1); part < parts && !is_ending();
           part = next.fetch_add(1), ++taken)
        call(body, part);
      return taken;
    }

    const int parts;
    const void* const body;
    void (*const call)(const void*, int);
    std::atomic<int> next{0};
    std::atomic<int> places;  // helpers that may still join
  };

  void share(Work& work);
  void add_helpers(int wanted);
  void wait_for_helpers();
  void help(std::uint32_t seen);

  std::mutex callers_;
  int helpers_ = 0;                // under the mutex
  Clock::time_point alone_until_;  // under the mutex
  std::atomic<Work*> work_{nullptr};
  std::atomic<std::uint32_t> round_{0};   // rises with each piece of work
  std::atomic<std::uint32_t> inside_{0};  // helpers that may be at `work_`
};

/// The threads that work of so many units is worth: each should get `least` of them, and there are
/// no more than a BLAS gets. `least` should take some 25 microseconds of a core: a helper who waits
/// awake begins within one of them.
int threads_for(double cost, double least);

/// `least`, where the cost is in additions of elements.
inline constexpr double kLeastAdditions = 1 << 16;

/// The same for the multiplications of a kernel.
int threads_for(double multiplications);

/// As `run` of the process's crew, with a `body` that may run out of memory. Throws: std::bad_alloc
/// where it does.
template <typename Body>
void share(std::int64_t parts, int threads, const Body& body) {
  std::atomic<bool> failed{false};
  Crew::process().run(static_cast<int>(parts), threads, [&](int part) {
    try {
      body(part);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

}  // namespace mlxnx::mlxc
