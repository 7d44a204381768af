// Programs run from many threads. These tests also run under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "mlxc/engine.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/shape.h"
#include "program/build_helpers.h"

namespace mlxnx::program {
namespace {

template <typename Body>
void on_threads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

Program doubled() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({3}));
  return builder.program({builder.op("add", {x, x})});
}

float first(const Tensor& tensor) { return tensor.to_vector<float>().front(); }

TEST(ProgramThreads, ShareAProgram) {
  const Executable program(doubled(), {.fusion = Fusion::kNever});
  std::atomic<int> right{0};
  on_threads(8, [&](int i) {
    for (int round = 0; round < 20; ++round) {
      const auto outputs = program.run(std::vector<Tensor>{tensor({1.0 * i, 0.0, 0.0})});
      right += first(outputs.at(0)) == static_cast<float>(2 * i);
    }
  });
  EXPECT_EQ(right, 160);
}

// Each thread meets the others where the host computes with the tensors, and where MLX learns of
// them for a graph.
TEST(ProgramThreads, ShareSmallTensors) {
  const Tensor ones = tensor({1.0, 1.0, 1.0});
  std::atomic<int> right{0};
  on_threads(8, [&](int i) {
    const Tensor many = broadcast(Tensor(static_cast<double>(i)), {4096, 3});
    for (int round = 0; round < 20; ++round) {
      const Tensor small = ones + ones * 2.0;
      right += first(small) == 3.0f;
      right += first(reduce_max(many + small, {.axes = Axes{0}})) == static_cast<float>(i + 3);
      right += first(reduce_max(many + ones, {.axes = Axes{0}})) == static_cast<float>(i + 1);
    }
  });
  EXPECT_EQ(right, 480);
}

TEST(ProgramThreads, RunLoopsOfTheirOwn) {
  const Executable program(counted_loop(25, 1.0, {2}), {.fusion = Fusion::kNever});
  std::atomic<int> right{0};
  on_threads(4, [&](int i) {
    for (int round = 0; round < 5; ++round) {
      const auto outputs = program.run(std::vector<Tensor>{Tensor(i), tensor({0.0, 0.0})});
      right += first(outputs.at(1)) == static_cast<float>(25 - i);
    }
  });
  EXPECT_EQ(right, 20);
}

// Loops that would go on for hours: the condition of one has to be read, the other's is known.
Program asking_loop(const Shape& shape) {
  RegionBuilder condition;
  const ValueId sum = condition.op("sum", {condition.input("x", f32(shape))});
  const ValueId goes_on = condition.op("greater", {sum, number(condition, -1.0)});
  RegionBuilder body;
  const ValueId next = body.op("cos", {body.input("x", f32(shape))});
  RegionBuilder builder;
  const ValueId start = builder.input("x", f32(shape));
  return builder.program(builder.while_loop(std::vector{start}, {},
                                            condition.region(std::vector{goes_on}),
                                            body.region(std::vector{next})));
}

TEST(ProgramThreads, LetOthersInBetweenIterations) {
  const Executable asking(asking_loop({200, 200}));
  const Executable followed(counted_loop(2'000'000'000, 1.0, {200, 200}));
  Cancellation cancellation;
  std::atomic<int> under_way{0};
  std::vector<std::thread> loops;
  for (int i = 0; i < 4; ++i) {
    loops.emplace_back([&, i] {
      const bool asks = i % 2 == 0;
      std::vector<Tensor> inputs{broadcast(Tensor(0.0F), {200, 200})};
      if (!asks) inputs.insert(inputs.begin(), Tensor(0));
      ++under_way;
      EXPECT_THROW((asks ? asking : followed).run(inputs, {.cancellation = &cancellation}),
                   BackendError);
      --under_way;
    });
  }
  while (under_way < 4) std::this_thread::yield();
  const Tensor many = broadcast(Tensor(1.0f), {4096, 3});
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(first(reduce_max(many + static_cast<double>(round), {.axes = Axes{0}})),
              static_cast<float>(round + 1));
  }
  EXPECT_EQ(under_way, 4);
  cancellation.cancel();
  for (std::thread& loop : loops) loop.join();
}

TEST(ProgramThreads, RunAProgramOnEnginesOfTheirOwn) {
  const Executable program(counted_loop(5, 1.0, {2}), {.fusion = Fusion::kNever});
  const Executable straight(doubled(), {.fusion = Fusion::kNever});
  std::atomic<int> right{0};
  on_threads(3, [&](int i) {
    const auto engine = std::make_shared<mlxc::Engine>();
    const mlxc::EngineScope scope(engine);
    for (int round = 0; round < 5; ++round) {
      const auto outputs = program.run(std::vector<Tensor>{Tensor(i), tensor({0.0, 0.0})});
      const auto twice = straight.run(std::vector<Tensor>{tensor({1.0 * i, 0.0, 0.0})});
      right += first(outputs.at(1)) == static_cast<float>(5 - i) &&
               first(twice.at(0)) == static_cast<float>(2 * i);
    }
  });
  EXPECT_EQ(right, 15);
}

TEST(ProgramThreads, TakeTensorsOfAnotherEngine) {
  const Executable straight(doubled(), {.fusion = Fusion::kNever});
  const Tensor pending = straight.run(std::vector<Tensor>{tensor({1.0, 2.0, 3.0})}).front();
  const auto engine = std::make_shared<mlxc::Engine>();
  const mlxc::EngineScope scope(engine);
  EXPECT_EQ(first(straight.run(std::vector<Tensor>{pending}).front()), 4.0f);
}

}  // namespace
}  // namespace mlxnx::program
