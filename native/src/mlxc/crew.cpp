#include "mlxc/crew.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include "mlxc/blas_library.h"

namespace mlxnx::mlxc {
namespace {

// Longer than what lies between two products of a network. Others may have the core meanwhile.
constexpr auto kAwake = std::chrono::microseconds(200);

// Loss, against having worked alone, that only a helper without a core explains; and how many times
// as long callers work alone after it: the loss stays at a thirtieth of their time.
constexpr auto kHeldUp = std::chrono::microseconds(100);
constexpr int kAloneFor = 30;

std::uint32_t next_round(const std::atomic<std::uint32_t>& round, std::uint32_t seen) {
  const auto end = std::chrono::steady_clock::now() + kAwake;
  do {
    const std::uint32_t now = round.load();
    if (now != seen) return now;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  round.wait(seen);
  return round.load();
}

}  // namespace

Crew& Crew::process() {
  static Crew* const crew = new Crew();
  return *crew;
}

void Crew::share(Work& work) {
  const int wanted = work.places.load();
  if (wanted <= 0) {
    work.take_parts();
    return;
  }
  const std::unique_lock lock(callers_, std::try_to_lock);
  const Clock::time_point begin = Clock::now();
  if (!lock.owns_lock() || begin < alone_until_) {
    work.take_parts();
    return;
  }
  add_helpers(wanted);
  work_.store(&work);
  round_.fetch_add(1);
  for (int i = 0; i < wanted; ++i) round_.notify_one();
  const int taken = work.take_parts();
  // Whoever comes in from now on finds nothing; whoever is in has to leave before `work` ends.
  work_.store(nullptr);
  if (inside_.load() == 0) return;
  const Clock::time_point done = Clock::now();
  wait_for_helpers();
  if (taken == 0) return;
  const Clock::time_point end = Clock::now();
  const Clock::duration lost = (end - begin) - (done - begin) * work.parts / taken;
  if (lost > kHeldUp) alone_until_ = end + kAloneFor * lost;
}

void Crew::wait_for_helpers() {
  const Clock::time_point asleep = Clock::now() + kAwake;
  std::uint32_t left = inside_.load();
  for (; left != 0 && Clock::now() < asleep; left = inside_.load()) std::this_thread::yield();
  for (; left != 0; left = inside_.load()) inside_.wait(left);
}

void Crew::add_helpers(int wanted) {
  try {
    for (; helpers_ < wanted; ++helpers_)
      std::thread([this, seen = round_.load()] { help(seen); }).detach();
  } catch (const std::system_error&) {
    // No more threads to be had.
  }
}

void Crew::help(std::uint32_t seen) {
  while (true) {
    seen = next_round(round_, seen);
    inside_.fetch_add(1);
    Work* const work = work_.load();
    if (work != nullptr && work->places.fetch_sub(1) > 0) work->take_parts();
    inside_.fetch_sub(1);
    inside_.notify_one();
  }
}

int threads_for(double cost, double least) {
  return std::clamp(static_cast<int>(std::min(cost / least, 1024.0)), 1, blas_threads());
}

int threads_for(double multiplications) { return threads_for(multiplications, 1 << 19); }

}  // namespace mlxnx::mlxc
