// The threads that share products: every part once, and nobody left inside when a call returns.
#include <gtest/gtest.h>

#if defined(__linux__)

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "mlxc/crew.h"

namespace mlxnx::mlxc {
namespace {

TEST(Crew, CallsEveryPartOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const int parts : {0, 1, 2, 7, 100}) {
      std::vector<int> calls(static_cast<std::size_t>(parts), 0);
      Crew::process().run(parts, threads,
                          [&](int part) { ++calls[static_cast<std::size_t>(part)]; });
      EXPECT_EQ(std::count(calls.begin(), calls.end(), 1), parts);
    }
  }
}

TEST(Crew, LetsHelpersTakeParts) {
  constexpr int kParts = 1000;
  std::array<std::thread::id, kParts> who;
  bool was_helped = false;
  for (int round = 0; round < 100 && !was_helped; ++round) {
    Crew::process().run(kParts, 2, [&](int part) {
      who[static_cast<std::size_t>(part)] = std::this_thread::get_id();
      std::this_thread::sleep_for(std::chrono::microseconds(10));
    });
    was_helped = std::any_of(who.begin(), who.end(),
                             [](std::thread::id id) { return id != std::this_thread::get_id(); });
  }
  EXPECT_TRUE(was_helped);
}

// What a body captures ends with the call. Short pieces, so that helpers come at any moment; and
// pauses, so that they fall asleep as well.
TEST(Crew, LeavesNobodyInside) {
  for (int round = 0; round < 2000; ++round) {
    std::array<int, 4> sums{};
    Crew::process().run(4, 3, [&](int part) { sums[static_cast<std::size_t>(part)] += part + 1; });
    EXPECT_EQ(sums, (std::array{1, 2, 3, 4}));
    sums.fill(-1);
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// A helper without a core makes its caller wait; the calls that follow do without it.
TEST(Crew, WorksAloneAfterALateHelper) {
  Crew& crew = *new Crew();  // never destroyed, as its helper is never done
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> was_late{false};
  for (int round = 0; round < 1000 && !was_late; ++round) {
    crew.run(8, 2, [&](int) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      if (std::this_thread::get_id() == caller || was_late.exchange(true)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    });
  }
  ASSERT_TRUE(was_late);
  int others = 0;
  crew.run(100, 2, [&](int) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    others += std::this_thread::get_id() != caller;
  });
  EXPECT_EQ(others, 0);
}

TEST(Crew, ServesSeveralCallers) {
  std::vector<std::jthread> callers;
  std::array<std::int64_t, 4> sums{};
  for (std::int64_t& sum : sums) {
    callers.emplace_back([&sum] {
      for (int round = 0; round < 500; ++round) {
        std::array<int, 8> done{};
        Crew::process().run(8, 4, [&](int part) { done[static_cast<std::size_t>(part)] = part; });
        for (const int part : done) sum += part;
      }
    });
  }
  callers.clear();
  EXPECT_EQ(sums, (std::array<std::int64_t, 4>{14000, 14000, 14000, 14000}));
}

}  // namespace
}  // namespace mlxnx::mlxc

#endif
