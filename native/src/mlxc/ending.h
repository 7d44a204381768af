// The end of the process while threads compute. Exit handlers and the destructors of libraries take
// down what a computation stands on: compiled kernels, OpenBLAS's memory, tables. So the first of
// them lets no new work begin and waits a moment for what is under way; threads that come by later
// rest for what is left of the process. Where something lasts longer, this library's destructor
// ends the process before those below it are taken down.
#pragma once

#include <atomic>
#include <optional>

namespace mlxnx::mlxc {

extern constinit std::atomic<bool> process_is_ending;
extern constinit std::atomic<bool> host_ends_at_once;

/// Whether the process is ending: work that has not begun need not begin any more.
inline bool is_ending() { return process_is_ending.load(); }

/// While the process is ending this does not return, except on the thread that ends it. Whoever is
/// about to use results calls it, since what was under way may have been left undone.
void rest();
inline void rest_if_ending() {
  if (is_ending()) [[unlikely]]
    rest();
}

/// Marks that the calling thread is in what exit would take down. Ask `is_ending` after making one.
class AtWork {
 public:
  AtWork() {
    if (depth_++ == 0) threads_.fetch_add(1);
  }
  ~AtWork() {
    if (--depth_ == 0) threads_.fetch_sub(1);
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  friend class AwayFromWork;
  friend void rest();
  friend void wait_for_others();
  static std::atomic<int> threads_;
  static thread_local int depth_;
};

/// The same for calls that are many and short, and rests if the process is ending. Nothing where
/// the host ends at once.
class ShortCall {
 public:
  ShortCall() {
    if (!host_ends_at_once.load(std::memory_order_relaxed)) at_work_.emplace();
    rest_if_ending();
  }

 private:
  std::optional<AtWork> at_work_;
};

/// The contrary of `AtWork` for a while: this thread only waits for another, which may have come to
/// rest. Call `rest_if_ending` after it.
class AwayFromWork {
 public:
  AwayFromWork() {
    if (AtWork::depth_ > 0) AtWork::threads_.fetch_sub(1);
  }
  ~AwayFromWork() {
    if (AtWork::depth_ > 0) AtWork::threads_.fetch_add(1);
  }
  AwayFromWork(const AwayFromWork&) = delete;
  AwayFromWork& operator=(const AwayFromWork&) = delete;
};

/// Has the process end as above. Handlers run in the reverse order of their registration: call this
/// again once something was made that must outlive the handler. Any thread.
void watch_for_the_end();

/// For a host whose threads may be anywhere in this library when it exits: instead of waiting, the
/// handler ends the process, with its status and everything written to C's and C++'s streams.
void end_at_once();

}  // namespace mlxnx::mlxc
