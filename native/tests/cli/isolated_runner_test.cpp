// A case that ends its process, or does not end at all, costs that case and no other.
#include "replay/isolated_runner.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdlib>

namespace mlxnx::cli {
namespace {

constexpr std::array<float, 4> kValues = {1, 2, 2, 4};

// 20000 sums, of which the last is wrong; more than a pipe holds.
class IsolatedRunnerDeathTest : public testing::Test {
 protected:
  IsolatedRunnerDeathTest() {
    // A fresh process: the runner's own must not have used MLX.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto bytes = std::as_bytes(std::span(kValues));
    const TensorType type{DType::f32, {2}};
    const GoldenTensor operand{type, bytes.first(8)};
    golden_ = {1, "add", nlohmann::json::object(), {operand, operand}, {{type, bytes.last(8)}}};
    wrong_ = golden_;
    wrong_.outputs = {operand};
    cases_.assign(20000, &golden_);
    cases_.back() = &wrong_;
  }

  GoldenCase golden_;
  GoldenCase wrong_;
  std::vector<const GoldenCase*> cases_;
};

void require(bool condition) {
  if (!condition) std::_Exit(1);
}

TEST_F(IsolatedRunnerDeathTest, GivesEveryOutcomeInOrder) {
  const auto body = [&] {
    IsolatedRunner runner(cases_, {});
    for (std::size_t i = 0; i + 1 < cases_.size(); ++i) require(runner.next().passed);
    const Outcome last = runner.next();
    require(!last.passed && last.types == std::vector<TensorType>{{DType::f32, {2}}});
    require(last.outputs.front().size() == 8);
    require(last.fault == "output 0: element [0] is 2, expected 1 (2 of 2 elements differ)");
    std::exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST_F(IsolatedRunnerDeathTest, GoesOnAfterTheProcessEnded) {
  const auto body = [&] {
    IsolatedRunner runner(cases_, {});
    require(runner.next().passed);
    const pid_t first = runner.child();
    ::kill(first, SIGKILL);
    std::size_t failed = 0;
    for (std::size_t i = 1; i + 1 < cases_.size(); ++i) {
      const Outcome outcome = runner.next();
      failed += outcome.passed ? 0 : 1;
      if (!outcome.passed) require(outcome.fault == "the process was ended by signal 9 (Killed)");
    }
    require(failed == 1 && runner.child() != first);
    std::exit(0);
  };
  if (!IsolatedRunner::Options{}.use_child) GTEST_SKIP() << "cases run in this process here";
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST_F(IsolatedRunnerDeathTest, EndsACaseThatTakesTooLong) {
  const auto body = [&] {
    IsolatedRunner::Options options;
    options.time_limit = std::chrono::milliseconds(0);
    IsolatedRunner runner(cases_, options);
    require(runner.next().fault == "no answer within 0 s");
    std::exit(0);
  };
  if (!IsolatedRunner::Options{}.use_child) GTEST_SKIP() << "cases run in this process here";
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mlxnx::cli
