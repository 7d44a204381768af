// Hooks and runtime calls: order, errors, evaluation from within, cancellation.
#include "program/callback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "mlxc/engine.h"
#include "mlxnx/error.h"
#include "mlxnx/ops/elementwise.h"
#include "program/build_helpers.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Answers on a thread of its own, as another process would.
class ThreadHost : public CallbackHost {
 public:
  using Answer = std::function<std::vector<Tensor>(const CallbackRequest&)>;
  explicit ThreadHost(Answer answer) : answer_(std::move(answer)) {}
  ~ThreadHost() override {
    for (std::thread& thread : threads_) thread.join();
  }
  void start(CallbackRequest request, std::shared_ptr<Reply> reply) override {
    threads_.emplace_back([this, request = std::move(request), reply = std::move(reply)] {
      try {
        reply->answer(answer_(request));
      } catch (...) {
        reply->fail(std::current_exception());
      }
    });
  }

 private:
  Answer answer_;
  std::vector<std::thread> threads_;
};

// Counts to `count`, telling the host each number; answers the last.
Program telling_loop(std::int64_t count) {
  RegionBuilder condition;
  const ValueId c = condition.input("i", s32());
  const auto test =
      condition.region(std::vector{condition.op("less", {c, number(condition, count)})});
  RegionBuilder body;
  const ValueId i = body.input("i", s32());
  const ValueId told = body.hook("seen", std::vector{i}).front();
  const auto next = body.region(std::vector{body.op("add", {told, number(body, std::int64_t{1})})});
  RegionBuilder builder;
  const ValueId start = builder.input("i", s32());
  return builder.program(builder.while_loop(std::vector{start}, {}, test, next));
}

Program asking() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const TensorType type = f32({2});
  const ValueId y =
      builder.runtime_call("ask", std::vector{builder.op("negate", {x})}, std::span(&type, 1))
          .front();
  return builder.program({builder.op("add", {y, x})});
}

TEST(Callback, HooksFireInOrderFromWithinLoops) {
  std::vector<int> seen;
  ThreadHost host([&](const CallbackRequest& request) {
    EXPECT_EQ(request.callback, "seen");
    seen.push_back(request.values.at(0).item<int>());
    return std::vector<Tensor>{};
  });
  const auto outputs = run(telling_loop(4), {Tensor(0)}, {.host = &host});
  EXPECT_EQ(outputs.at(0).item<int>(), 4);
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3));
}

// Many of them, so that an answer meets every moment of the waiting.
TEST(Callback, AnswersNeverMissTheProgramThatWaits) {
  ThreadHost host([](const CallbackRequest&) { return std::vector<Tensor>{}; });
  EXPECT_EQ(run(telling_loop(2000), {Tensor(0)}, {.host = &host}).at(0).item<int>(), 2000);
}

TEST(Callback, HooksWithoutAHostDoNothing) {
  EXPECT_EQ(run(telling_loop(3), {Tensor(0)}).at(0).item<int>(), 3);
}

TEST(Callback, HooksOfABranchThatIsNotTakenDoNotFire) {
  const auto branch = [](const char* name) {
    RegionBuilder builder;
    builder.hook(name, std::vector{builder.input("x", f32())});
    return builder.region({});
  };
  RegionBuilder builder;
  const ValueId p = builder.input("p", f32());
  builder.cond(std::vector{p}, std::vector{p}, {branch("yes"), branch("no")});
  std::vector<std::string> fired;
  ThreadHost host([&](const CallbackRequest& request) {
    fired.emplace_back(request.callback);
    return std::vector<Tensor>{};
  });
  run(builder.program({}), {Tensor(0.0)}, {.host = &host});
  EXPECT_THAT(fired, ElementsAre("no"));
}

TEST(Callback, ARuntimeCallMayEvaluateTensorsItself) {
  ThreadHost host([](const CallbackRequest& request) {
    const Tensor product = multiply(request.values.at(0), 10.0);
    eval(product);
    return std::vector<Tensor>{product};
  });
  const auto outputs = run(asking(), {tensor({1.0, 2.0})}, {.host = &host});
  EXPECT_THAT(outputs.at(0).to_vector<float>(), ElementsAre(-9.0f, -18.0f));
}

TEST(Callback, MayRunAnotherProgram) {
  const Executable inner(asking());
  ThreadHost inner_host(
      [](const CallbackRequest& request) { return std::vector<Tensor>{request.values.at(0)}; });
  ThreadHost host([&](const CallbackRequest& request) {
    return inner.run(request.values, {.host = &inner_host});
  });
  const auto outputs = run(asking(), {tensor({1.0, 2.0})}, {.host = &host});
  EXPECT_THAT(outputs.at(0).to_vector<float>(), ElementsAre(1.0f, 2.0f));
}

TEST(Callback, ItsErrorIsTheProgramsAndTheEngineLivesOn) {
  ThreadHost host(
      [](const CallbackRequest&) -> std::vector<Tensor> { throw TypeError("[host] raised"); });
  EXPECT_THROW(run(asking(), {tensor({1.0, 2.0})}, {.host = &host}), TypeError);
  EXPECT_EQ(run(telling_loop(3), {Tensor(0)}).at(0).item<int>(), 3);
}

// MLXNX_FAILURES says how many.
TEST(Callback, ErrorsOneAfterTheOtherLeaveTheEngineSound) {
  const char* const text = std::getenv("MLXNX_FAILURES");
  const int count = text != nullptr ? std::atoi(text) : 100;
  const Executable program(asking());
  for (int i = 0; i < count; ++i) {
    ThreadHost host(
        [](const CallbackRequest&) -> std::vector<Tensor> { throw TypeError("[host] raised"); });
    ASSERT_THROW(program.run(std::vector{tensor({1.0, 2.0})}, {.host = &host}), TypeError);
  }
  ThreadHost host(
      [](const CallbackRequest& request) { return std::vector<Tensor>{request.values.at(0)}; });
  EXPECT_THAT(
      program.run(std::vector{tensor({1.0, 2.0})}, {.host = &host}).at(0).to_vector<float>(),
      ElementsAre(0.0f, 0.0f));
}

TEST(Callback, AnAnswerOfAnotherTypeIsRefused) {
  ThreadHost host([](const CallbackRequest&) { return std::vector<Tensor>{Tensor(1)}; });
  try {
    run(asking(), {tensor({1.0, 2.0})}, {.host = &host});
    FAIL() << "an answer of another type was taken";
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("[runtime_call] \"ask\" should answer f32[2], got s32"));
  }
}

TEST(Callback, ARuntimeCallWithoutAHostIsAnError) {
  EXPECT_THROW(run(asking(), {tensor({1.0, 2.0})}), ArgumentError);
}

// Answers nothing, as a process that was killed.
class SilentHost : public CallbackHost {
 public:
  void start(CallbackRequest, std::shared_ptr<Reply> reply) override {
    reply_ = std::move(reply);
    asked = true;
    asked.notify_all();
  }
  std::atomic<bool> asked{false};
  std::shared_ptr<Reply> reply_;
};

TEST(Callback, AProgramWhoseCallerIsGoneEnds) {
  SilentHost host;
  Cancellation cancellation;
  mlxc::Engine& engine = mlxc::Engine::current();
  std::thread killer([&] {
    host.asked.wait(false);
    cancellation.cancel();
    engine.wake();
  });
  EXPECT_THROW(run(asking(), {tensor({1.0, 2.0})}, {.host = &host, .cancellation = &cancellation}),
               BackendError);
  killer.join();
  host.reply_->answer({});  // comes too late and does no harm
  EXPECT_EQ(run(telling_loop(3), {Tensor(0)}).at(0).item<int>(), 3);
}

TEST(Callback, AnEndlessLoopCanBeCancelled) {
  Cancellation cancellation;
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancellation.cancel();
  });
  const Program endless = counted_loop(std::int64_t{1} << 30, 1.0, {1});
  EXPECT_THROW(run(endless, {Tensor(0), tensor({0.0})}, {.cancellation = &cancellation}),
               BackendError);
  killer.join();
}

}  // namespace
}  // namespace mlxnx::program
