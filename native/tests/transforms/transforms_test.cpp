// What gradients and tangents of regions have for inputs and outputs, and what they make of marks,
// hooks and calls of the host.
#include "transforms/transforms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mlxnx/jit.h"
#include "ops/number_tensors.h"
#include "program/build_helpers.h"
#include "program/trace.h"
#include "transforms/cleanup.h"
#include "transforms/derivative_check.h"

namespace mlxnx::transforms {
namespace {

using program::f32;
using program::RegionBuilder;
using program::ValueId;
using testing::ElementsAre;
using Ids = std::vector<ValueId>;
using Wrt = std::vector<std::size_t>;

std::vector<float> floats(const Tensor& tensor) { return tensor.to_vector<float>(); }

// (x, y, unused) -> (x * y, x + y)
RegionPtr product_and_sum() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId y = builder.input("y", f32({2}));
  builder.input("unused", {DType::s64, {3}});
  return builder.region(Ids{builder.op("multiply", {x, y}), builder.op("add", {x, y})});
}

const Tensors& point() {
  static const Tensors tensors{tensor({1.0, 2.0}), tensor({3.0, 4.0}),
                               constant(std::int64_t{5}, DType::s64, {3})};
  return tensors;
}

TEST(Transforms, ValueAndGradAnswersAllValuesAndThenGradientsOfTheFirst) {
  const RegionPtr region = value_and_grad(*product_and_sum(), Wrt{1, 2, 0, 1});
  const Tensors results = run(region, point());
  ASSERT_EQ(results.size(), 6U);
  EXPECT_THAT(floats(results[0]), ElementsAre(3, 8));
  EXPECT_THAT(floats(results[1]), ElementsAre(4, 6));
  EXPECT_THAT(floats(results[2]), ElementsAre(1, 2));
  EXPECT_THAT(floats(results[3]), ElementsAre(0, 0, 0));
  EXPECT_THAT(floats(results[4]), ElementsAre(3, 4));
  EXPECT_THAT(floats(results[5]), ElementsAre(1, 2));
  EXPECT_EQ(region->inputs[0].name, "x");
  EXPECT_EQ(region->inputs[2].name, "unused");
}

TEST(Transforms, VjpWeighsEveryOutput) {
  Tensors inputs = point();
  inputs.push_back(tensor({1.0, 10.0}));
  inputs.push_back(tensor({100.0, 1000.0}));
  const Tensors results = run(vjp(*product_and_sum(), Wrt{0}), inputs);
  ASSERT_EQ(results.size(), 3U);
  EXPECT_THAT(floats(results[2]), ElementsAre(103, 1040));
}

TEST(Transforms, JvpAnswersATangentForEveryOutput) {
  Tensors inputs = point();
  inputs.push_back(tensor({1.0, 10.0}));
  const Tensors results = run(jvp(*product_and_sum(), Wrt{1}), inputs);
  ASSERT_EQ(results.size(), 4U);
  EXPECT_THAT(floats(results[2]), ElementsAre(1, 20));
  EXPECT_THAT(floats(results[3]), ElementsAre(1, 10));
}

TEST(Transforms, AnInputMayBeTheOutputAndAnOutputAConstant) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const RegionPtr region = builder.region(Ids{x, x, program::number(builder, 3.0)});
  const Tensors back = run(vjp(*region, Wrt{0}), {point()[0], point()[0], point()[1], Tensor(1.0)});
  EXPECT_THAT(floats(back[3]), ElementsAre(4, 6));
  const Tensors along = run(jvp(*region, Wrt{0}), {point()[0], point()[1]});
  EXPECT_THAT(floats(along[4]), ElementsAre(3, 4));
  EXPECT_EQ(along[5].item<float>(), 0);
}

TEST(Transforms, RefusePositionsWithoutAnInput) {
  const RegionPtr region = product_and_sum();
  const std::string text = "[grad] there is no input 3 among 3";
  EXPECT_EQ(message_of<ArgumentError>([&] { value_and_grad(*region, Wrt{0, 3}); }), text);
  EXPECT_EQ(message_of<ArgumentError>([&] { vjp(*region, Wrt{3}); }), text);
  EXPECT_EQ(message_of<ArgumentError>([&] { jvp(*region, Wrt{3}); }), text);
  const RegionPtr nothing = RegionBuilder().region(Ids{});
  EXPECT_EQ(message_of<ArgumentError>([&] { value_and_grad(*nothing, Wrt{}); }),
            "[grad] a function without a result");
}

// x * x with the gradient 7 g + x, of which the mark alone has a say.
RegionPtr marked_square() {
  RegionBuilder backward;
  const ValueId g = backward.input("g", f32({2}));
  const ValueId captured = backward.input("x", f32({2}));
  const ValueId scaled = backward.op("multiply", {g, program::number(backward, 7.0)});
  const RegionPtr rule = backward.region(Ids{backward.op("add", {scaled, captured})});
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId square = builder.op("multiply", {x, x});
  return builder.region(builder.custom_vjp(Ids{square}, Ids{x}, Ids{x}, rule));
}

TEST(Transforms, MarksSayWhatTheGradientIs) {
  const RegionPtr first = value_and_grad(*marked_square(), Wrt{0});
  const Tensors results = run(first, {point()[0]});
  EXPECT_THAT(floats(results[0]), ElementsAre(1, 4));
  EXPECT_THAT(floats(results[1]), ElementsAre(8, 9));
  const Tensors forward = run(jvp(*marked_square(), Wrt{0}), {point()[0], point()[0]});
  EXPECT_THAT(floats(forward[1]), ElementsAre(7, 14)) << "what is linear in the cotangent";
}

TEST(Transforms, GradientsOfMarksAreDifferentiatedThemselves) {
  const RegionPtr both = value_and_grad(*marked_square(), Wrt{0});
  Subject gradient = subject({point()[0]}, [&](const Tensors& in) {
    return Tensors{program::Trace::current()->record_program(*both, in)[1]};
  });
  gradient.function = cleaned(*gradient.function);
  check_derivatives(gradient);
}

TEST(Transforms, AMarkWithoutAGradientSaysWhyWhenItIsAsked) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId y = builder.input("y", f32({2}));
  const Ids marked = builder.custom_vjp(Ids{builder.op("exp", {x})}, Ids{x}, "not today");
  const RegionPtr region = builder.region(Ids{builder.op("multiply", {marked[0], y})});
  EXPECT_EQ(message_of<UnsupportedError>([&] { vjp(*region, Wrt{0}); }), "[custom_vjp] not today");
  EXPECT_NO_THROW(vjp(*region, Wrt{1}));
}

TEST(Transforms, NothingLeadsThroughStoppedGradientsAndCallsOfTheHost) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const TensorType type = f32({2});
  const ValueId stopped = builder.stop_gradient(Ids{x})[0];
  const ValueId called = builder.runtime_call("r", Ids{x}, std::span(&type, 1))[0];
  const ValueId product = builder.op("multiply", {stopped, called});
  const RegionPtr region = builder.region(Ids{builder.op("multiply", {product, x}), product});
  class Doubling : public program::CallbackHost {
    void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
      reply->answer({request.values[0] * 2});
    }
  } host;
  const Tensors results =
      program::run({*value_and_grad(*region, Wrt{0}), {}}, {point()[0]}, {.host = &host});
  EXPECT_THAT(floats(results[2]), ElementsAre(2, 8));
  const Tensors tangents =
      program::run({*jvp(*region, Wrt{0}), {}}, {point()[0], point()[0]}, {.host = &host});
  EXPECT_THAT(floats(tangents[2]), ElementsAre(2, 16));
  EXPECT_THAT(floats(tangents[3]), ElementsAre(0, 0));
}

class Listener : public program::CallbackHost {
 public:
  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    told += std::string(request.callback);
    reply->answer({});
  }
  std::string told;
};

std::string told_by(const RegionPtr& region, const Tensors& inputs) {
  Listener listener;
  program::run({*region, {}}, inputs, {.host = &listener});
  return listener.told;
}

// x through the hook "a", in a branch through "b" or "c", and at the end through "d".
RegionPtr hooked() {
  const auto branch = [](const char* name) {
    RegionBuilder builder;
    const ValueId x = builder.input("x", f32());
    const ValueId told = builder.hook(name, Ids{builder.op("sin", {x})})[0];
    return builder.region(Ids{builder.op("exp", {told})});
  };
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32());
  const ValueId first = builder.hook("a", Ids{x})[0];
  const ValueId chosen = builder.cond(Ids{first}, Ids{first}, {branch("b"), branch("c")})[0];
  const ValueId result = builder.op("multiply", {chosen, first});
  builder.hook("d", Ids{result});
  return builder.region(Ids{result});
}

TEST(Transforms, HooksAreToldOnceAndInOrder) {
  for (const auto& [x, told] : {std::pair(1.0, "abd"), {0.0, "acd"}}) {
    const RegionPtr grad = value_and_grad(*hooked(), Wrt{0});
    EXPECT_EQ(told_by(grad, {Tensor(x)}), told);
    EXPECT_EQ(told_by(jvp(*hooked(), Wrt{0}), {Tensor(x), Tensor(1.0)}), told);
    EXPECT_EQ(told_by(value_and_grad(*grad, Wrt{0}), {Tensor(x)}), told);
  }
}

// A body that tells about its state four times.
RegionPtr hooked_loop() {
  RegionBuilder condition;
  const ValueId left = condition.input("n", program::s32());
  condition.input("x", f32());
  const RegionPtr test = condition.region(
      Ids{condition.op("less", {left, program::number(condition, std::int64_t{4})})});
  RegionBuilder body;
  const ValueId i = body.input("n", program::s32());
  const ValueId x = body.hook("h", Ids{body.input("x", f32())})[0];
  const ValueId next = body.op("add", {i, program::number(body, std::int64_t{1})});
  const RegionPtr step = body.region(Ids{next, body.op("sin", {x})});
  RegionBuilder builder;
  const ValueId start = builder.input("x", f32());
  const ValueId zero = program::number(builder, std::int64_t{0});
  return builder.region(Ids{builder.while_loop(Ids{zero, start}, Ids{}, test, step)[1]});
}

TEST(Transforms, LoopsTellHooksOncePerIteration) {
  EXPECT_EQ(told_by(jvp(*hooked_loop(), Wrt{0}), {Tensor(0.5), Tensor(1.0)}), "hhhh");
  for (const Tape tape : {Tape::kAll, Tape::kSqrt, Tape::kRecompute}) {
    const RegionPtr grad = value_and_grad(*hooked_loop(), Wrt{0}, tape);
    EXPECT_EQ(told_by(grad, {Tensor(0.5)}), "hhhh");
    EXPECT_EQ(told_by(value_and_grad(*grad, Wrt{0}, tape), {Tensor(0.5)}), "hhhh");
    EXPECT_EQ(told_by(jvp(*grad, Wrt{0}), {Tensor(0.5), Tensor(1.0)}), "hhhh");
  }
}

TEST(Transforms, OneOfSeveralBranchesIsDifferentiated) {
  const auto branch = [](const char* op) {
    RegionBuilder builder;
    const ValueId x = builder.input("x", {DType::f64, {2}});
    return builder.region(Ids{builder.op(op, {x})});
  };
  RegionBuilder builder;
  const Ids predicates{builder.input("p", program::s32()), builder.input("q", program::s32())};
  const ValueId x = builder.input("x", {DType::f64, {2}});
  const RegionPtr region = builder.region(
      builder.cond(predicates, Ids{x}, {branch("sin"), branch("exp"), branch("floor")}));
  const Tensor at = as_type(tensor({0.25, 0.5}), DType::f64);
  for (const auto& [p, q] : {std::pair(1, 1), {0, 1}, {0, 0}})
    check_derivatives({region, {Tensor(p), Tensor(q), at}, {2}});
}

TEST(Transforms, IntegersOfLoopsAreDifferentiatedLikeFloats) {
  const TensorFunction doubled = [](const Tensors& in) {
    return tracing::while_loop(
        {constant(std::int64_t{0}, DType::s32), in[0]},
        [](const Tensors& state) { return state[0] < 3; },
        [](const Tensors& state) {
          return Tensors{state[0] + 1, state[1] * state[1]};
        });
  };
  const Subject at = subject({Tensor(2)}, doubled);
  const Tensors back = run(vjp(*at.function, Wrt{0}), {Tensor(2), Tensor(1.0), Tensor(1.0)});
  EXPECT_EQ(back[2].item<float>(), 8 * 128);
  const Tensors along = run(jvp(*at.function, Wrt{0}), {Tensor(2), Tensor(0.5)});
  EXPECT_EQ(along[3].item<float>(), 4 * 128);
}

TEST(Transforms, HooksPassGradientsOn) { check_derivatives({hooked(), {Tensor(0.7)}, {0}}); }

}  // namespace
}  // namespace mlxnx::transforms
