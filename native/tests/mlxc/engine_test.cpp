// The engine's promises. These tests also run under ThreadSanitizer.
#include "mlxc/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "mlxc/engine_pool.h"
#include "mlxnx/error.h"
#include "mlxnx/ops/elementwise.h"
#include "tensor/node.h"
#include "tensor/on_engine.h"

namespace mlxnx {
namespace {

using mlxc::Engine;
using mlxc::EngineScope;

Tensor numbers() {
  const std::array values = {1.0f, 2.0f, 3.0f};
  return Tensor::from_span<float>(values, {3});
}

template <typename Body>
void on_threads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(Engine, RunsAJobAndReturnsAfterIt) {
  bool ran = false;
  Engine::current().run([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST(Engine, RethrowsWhatTheJobThrowsAndGoesOnWorking) {
  EXPECT_THROW(Engine::current().run([] { throw ShapeError("[job] bad"); }), ShapeError);
  bool ran = false;
  Engine::current().run([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST(Engine, RunsOneJobAtATime) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  on_threads(8, [&](int) {
    for (int i = 0; i < 50; ++i) {
      Engine::current().run([&] {
        most = std::max(most.load(), ++inside);
        --inside;
      });
    }
  });
  EXPECT_EQ(most, 1);
}

TEST(Engine, AJobMayRunAnother) {
  bool ran = false;
  Engine& engine = Engine::current();
  engine.run([&] { engine.run([&] { ran = engine.inside(); }); });
  EXPECT_TRUE(ran);
  EXPECT_FALSE(engine.inside());
}

TEST(Engine, PostedJobsRunInOrder) {
  Engine engine;
  std::vector<int> order;
  for (int i = 0; i < 20; ++i) engine.post([&order, i] { order.push_back(i); });
  engine.run([] {});
  std::vector<int> seen;
  engine.run([&] { seen = order; });
  EXPECT_THAT(seen, testing::SizeIs(20));
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(Engine, APostedJobThatThrowsHarmsNobody) {
  Engine engine;
  engine.post([] { throw std::runtime_error("dropped"); });
  bool ran = false;
  engine.run([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST(Engine, ServesOtherJobsWhileOneWaits) {
  Engine engine;
  std::atomic<bool> ready{false};
  std::promise<void> waiting;
  std::thread waiter([&] {
    engine.run([&] {
      waiting.set_value();
      engine.serve_until([&ready] { return ready.load(); });
    });
  });
  waiting.get_future().wait();
  // A host callback: evaluates on the engine whose job waits for it.
  bool served = false;
  engine.run([&served] { served = true; });
  EXPECT_TRUE(served);
  ready = true;
  engine.wake();
  waiter.join();
}

TEST(Engine, AHostCallbackMayEvaluateTensors) {
  std::promise<Tensor> answer;
  std::future<Tensor> future = answer.get_future();
  std::atomic<bool> ready{false};
  Engine& engine = Engine::current();
  std::thread callback([&] {
    Tensor sum = add(numbers(), numbers());
    eval(sum);
    answer.set_value(sum);
    ready = true;
    engine.wake();
  });
  engine.run([&] { engine.serve_until([&ready] { return ready.load(); }); });
  callback.join();
  EXPECT_THAT(future.get().to_vector<float>(), testing::ElementsAre(2, 4, 6));
}

TEST(Engine, SeveralEnginesWorkIndependently) {
  Engine first;
  const auto second = std::make_shared<Engine>();
  std::promise<void> blocked;
  std::promise<void> release;
  std::thread holder([&] {
    first.run([&] {
      blocked.set_value();
      release.get_future().wait();
    });
  });
  blocked.get_future().wait();
  {
    const EngineScope scope(second);
    EXPECT_EQ(&Engine::current(), second.get());
    EXPECT_THAT(add(numbers(), numbers()).to_vector<float>(), testing::ElementsAre(2, 4, 6));
  }
  release.set_value();
  holder.join();
}

TEST(Engine, TensorsAreEvaluatedByTheEngineTheyWereBuiltFor) {
  auto queue = std::make_shared<Engine>();
  Tensor there = numbers();
  {
    const EngineScope scope(queue);
    there = add(there, numbers());
  }
  EXPECT_EQ(&there.node().engine(), queue.get());
  const std::weak_ptr<Engine> alive = queue;
  queue.reset();
  // The sum of tensors of two engines is built on the current one; the foreign operand comes first.
  const Tensor here = add(there, numbers());
  EXPECT_EQ(&here.node().engine(), &Engine::process());
  EXPECT_TRUE(there.node().ready.load());
  EXPECT_THAT(here.to_vector<float>(), testing::ElementsAre(3, 6, 9));
  there = Tensor();
  EXPECT_TRUE(alive.expired());
}

TEST(Engine, AQueueIsUsedAgainOnceItsLastTensorIsGone) {
  std::shared_ptr<Engine> queue = mlxc::lend_engine();
  Engine* const engine = queue.get();
  Tensor there = numbers();
  {
    const EngineScope scope(queue);
    there = add(there, numbers());
  }
  queue.reset();
  const std::shared_ptr<Engine> other = mlxc::lend_engine();
  EXPECT_NE(other.get(), engine);
  EXPECT_THAT(there.to_vector<float>(), testing::ElementsAre(2, 4, 6));
  there = Tensor();
  queue = mlxc::lend_engine();
  EXPECT_EQ(queue.get(), engine);
  const EngineScope scope(queue);
  const Tensor again = add(numbers(), numbers());
  EXPECT_EQ(&again.node().engine(), engine);
  EXPECT_THAT(again.to_vector<float>(), testing::ElementsAre(2, 4, 6));
}

TEST(Engine, AJobEvaluatesOnTheEngineThatRunsIt) {
  Engine engine;
  std::promise<Engine*> current;
  engine.post([&current] { current.set_value(&Engine::current()); });
  EXPECT_EQ(current.get_future().get(), &engine);
}

TEST(Engine, EnginesMayWaitForEachOther) {
  Engine first;
  Engine second;
  bool ran = false;
  first.run([&] { second.run([&] { first.run([&] { ran = true; }); }); });
  EXPECT_TRUE(ran);
}

TEST(Engine, RefusesWorkAfterStop) {
  Engine engine;
  engine.stop();
  engine.stop();
  EXPECT_THROW(engine.run([] {}), BackendError);
}

TEST(Engine, StopFailsQueuedJobsAndDoesNotHang) {
  Engine engine;
  std::promise<void> started;
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::thread holder([&] {
    engine.run([&] {
      started.set_value();
      released.wait();
    });
  });
  started.get_future().wait();
  std::thread queued([&] { EXPECT_THROW(engine.run([] {}), BackendError); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto before = std::chrono::steady_clock::now();
  engine.stop(std::chrono::milliseconds(50));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  queued.join();
  release.set_value();
  holder.join();
}

// Far longer than any of these takes; what waits in vain ends then.
constexpr auto kMostPatience = std::chrono::seconds(20);

// Gives way until `ready`, at most so long.
template <typename Ready>
void give_way_until(Engine& engine, Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kMostPatience;
  while (!ready() && std::chrono::steady_clock::now() < end) engine.give_way();
}

TEST(Engine, AJobThatGivesWayLetsOthersIn) {
  Engine engine;
  std::promise<void> started;
  std::atomic<bool> served{false};
  bool has_seen = false;
  std::thread holder([&] {
    engine.run([&] {
      started.set_value();
      give_way_until(engine, [&served] { return served.load(); });
      has_seen = served;
      EXPECT_TRUE(engine.inside());
    });
  });
  started.get_future().wait();
  engine.run([&served] { served = true; });
  holder.join();
  EXPECT_TRUE(has_seen);
}

TEST(Engine, JobsThatLastTakeTurns) {
  if (is_available(Device::kGpu)) GTEST_SKIP() << "others run within a job there";
  Engine engine;
  constexpr int kJobs = 3;
  std::array<std::atomic<int>, kJobs> turns{};
  std::atomic<int> inside{0};
  const auto all_have_had = [&turns](int count) {
    return std::all_of(turns.begin(), turns.end(),
                       [count](const auto& had) { return had >= count; });
  };
  on_threads(kJobs, [&](int i) {
    const auto job = [&, i] {
      // None can end before the others have had their turns.
      give_way_until(engine, [&, i] {
        EXPECT_EQ(++inside, 1);
        ++turns.at(static_cast<std::size_t>(i));
        --inside;
        return all_have_had(4);
      });
    };
    // From the caller's thread and from the engine's own.
    i % 2 == 0 ? engine.run(job) : engine.run_on_own_thread(job);
  });
  EXPECT_TRUE(all_have_had(4));
}

TEST(Engine, AJobThatWaitedGoesOnBesideOneThatLasts) {
  if (is_available(Device::kGpu)) GTEST_SKIP() << "others run within a job there";
  Engine engine;
  std::atomic<bool> waits{false}, lasts{false}, ready{false}, has_ended{false};
  std::thread waiter([&] {
    engine.run([&] {
      waits = true;
      engine.serve_until([&ready] { return ready.load(); });
      EXPECT_TRUE(engine.inside());
    });
    has_ended = true;
  });
  while (!waits) std::this_thread::yield();
  std::thread lasting([&] {
    engine.run([&] {
      lasts = true;
      give_way_until(engine, [&has_ended] { return has_ended.load(); });
      EXPECT_TRUE(has_ended);
    });
  });
  while (!lasts) std::this_thread::yield();
  ready = true;
  engine.wake();
  waiter.join();
  lasting.join();
}

TEST(Engine, AJobStartsWhatItBuildsAndGoesOn) {
  const auto engine = std::make_shared<Engine>();
  const EngineScope scope(engine);
  const DeviceScope device(Device::kCpu);
  const std::vector<float> many(20'000, 1.0f);  // more than is computed at once
  Tensor sum = Tensor::from_span<float>(many, {std::ssize(many)});
  tensors::run_on_engine([&] {
    EXPECT_TRUE(engine->inside());
    EXPECT_EQ(default_device(), Device::kCpu);
    for (int i = 0; i < 3; ++i) {
      sum = add(sum, sum);
      async_eval(sum);
    }
    EXPECT_FALSE(engine->has_waiting());
  });
  EXPECT_FALSE(engine->inside());
  EXPECT_THAT(sum.to_vector<float>(), testing::Each(8.0f));
}

TEST(Engine, ServesBesideAJobThatWaitsForLong) {
  Engine engine;
  std::atomic<bool> ready{false};
  std::promise<void> waits;
  std::thread waiter([&] {
    engine.run_on_own_thread([&] {
      waits.set_value();
      engine.serve_until([&ready] { return ready.load(); });
    });
  });
  waits.get_future().wait();
  // Longer than threads stay idle that are not needed.
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  bool served = false;
  engine.run_on_own_thread([&served] { served = true; });
  EXPECT_TRUE(served);
  ready = true;
  engine.wake();
  waiter.join();
}

TEST(Engine, StopFailsJobsThatWaitForTheOutside) {
  Engine engine;
  std::promise<void> waits;
  std::thread waiter([&] {
    EXPECT_THROW(engine.run([&] {
      waits.set_value();
      engine.serve_until([] { return false; });
    }),
                 BackendError);
  });
  waits.get_future().wait();
  engine.stop(kMostPatience);
  waiter.join();
}

TEST(Engine, GivesWayToNobodyWhereNobodyWaits) {
  Engine engine;
  EXPECT_FALSE(engine.has_waiting());
  engine.give_way();
  bool ran = false;
  engine.run([&] {
    give_way_until(engine, [start = std::chrono::steady_clock::now()] {
      return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(20);
    });
    ran = true;
  });
  EXPECT_TRUE(ran);
}

TEST(Engine, StopWaitsForJobsThatHaveGivenWay) {
  Engine engine;
  std::atomic<int> started{0};
  std::atomic<bool> may_end{false};
  std::atomic<int> ended{0};
  std::vector<std::thread> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.emplace_back([&] {
      engine.run([&] {
        ++started;
        give_way_until(engine, [&may_end] { return may_end.load(); });
        ++ended;
      });
    });
  }
  while (started < 3) std::this_thread::yield();
  may_end = true;
  engine.stop(kMostPatience);
  EXPECT_EQ(ended, 3);
  for (std::thread& job : jobs) job.join();
}

TEST(Engine, TensorsAreBuiltAndReadOnAnyThread) {
  const Tensor shared = numbers();
  on_threads(8, [&shared](int) {
    for (int i = 0; i < 100; ++i) {
      Tensor value = shared;
      for (int j = 0; j < 5; ++j) value = add(value, shared);
      EXPECT_THAT(value.to_vector<float>(), testing::ElementsAre(6, 12, 18));
    }
  });
}

TEST(Engine, OneLazyTensorMayBeReadByManyThreads) {
  for (int round = 0; round < 50; ++round) {
    const Tensor lazy = add(numbers(), numbers());
    on_threads(
        4, [&lazy](int) { EXPECT_THAT(lazy.to_vector<float>(), testing::ElementsAre(2, 4, 6)); });
  }
}

TEST(Engine, ALongChainThatNobodyReadsStaysBounded) {
  Tensor value = numbers();
  for (int i = 0; i < 20'000; ++i) value = add(value, numbers());
  EXPECT_THAT(value.to_vector<float>(), testing::ElementsAre(20'001, 40'002, 60'003));
}

}  // namespace
}  // namespace mlxnx
