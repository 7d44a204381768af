// Programs run from many threads. These tests also run under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

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
