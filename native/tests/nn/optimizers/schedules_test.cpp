// Schedules at their corners: before, at and after each boundary, eagerly and compiled.
#include "mlxnx/optimizers/schedules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "nn/optimizers/optimizer_def.h"

namespace mlxnx::optimizers {
namespace {

std::vector<float> at(const Schedule& schedule, const std::vector<std::uint64_t>& steps) {
  const std::vector<float> values = schedule(tensor(steps)).to_vector<float>();
  EXPECT_EQ(jit(schedule)(tensor(steps)).to_vector<float>(), values);
  return values;
}

auto near(const std::vector<float>& wanted) {
  return testing::Pointwise(testing::FloatNear(1e-6f), wanted);
}

TEST(Schedules, FollowTheirFormulas) {
  EXPECT_THAT(at(exponential_decay(0.1, 0.5), {0, 1, 3}), near({0.1f, 0.05f, 0.0125f}));
  EXPECT_THAT(at(step_decay(0.1, 0.5, 3), {0, 2, 3, 7}), near({0.1f, 0.1f, 0.05f, 0.025f}));
  EXPECT_THAT(at(cosine_decay(1, 8, 0.5), {0, 4, 8, 100}), near({1, 0.75f, 0.5f, 0.5f}));
  EXPECT_THAT(at(linear_schedule(0, 1, 4), {0, 1, 4, 100}), near({0, 0.25f, 1, 1}));
}

TEST(Schedules, JoinAtBoundariesAndCountFromThere) {
  const Schedule inner = join_schedules({linear_schedule(0, 1, 2), step_decay(1, 0.5, 1)}, {2});
  EXPECT_THAT(at(inner, {0, 1, 2, 3}), near({0, 0.5f, 1, 0.5f}));
  const Schedule outer = join_schedules({linear_schedule(3, 2, 1), inner}, {1});
  EXPECT_THAT(at(outer, {0, 1, 2, 3, 4}), near({3, 0, 0.5f, 1, 0.5f}));
  EXPECT_THAT(at(join_schedules({inner}, {}), {1}), near({0.5f}));
}

TEST(Schedules, AnswerF32ForStepsOfAnyIntegerType) {
  for (const DType type : {DType::u64, DType::s64, DType::s32, DType::u8}) {
    const Tensor rate =
        join_schedules({linear_schedule(0, 1, 4), cosine_decay(1, 4)}, {4})(tensor(6, type));
    EXPECT_EQ(rate.dtype(), DType::f32);
    EXPECT_NEAR(rate.item<double>(), 0.5, 1e-6);
  }
}

TEST(Schedules, RefuseWhatHasNoSteps) {
  EXPECT_THROW(step_decay(1, 0.5, 0), ArgumentError);
  EXPECT_THROW(cosine_decay(1, 0), ArgumentError);
  EXPECT_THROW(linear_schedule(0, 1, -1), ArgumentError);
  EXPECT_THROW(join_schedules({}, {}), ArgumentError);
  EXPECT_THROW(join_schedules({linear_schedule(0, 1, 1)}, {1}), ArgumentError);
}

TEST(Schedules, AreMadeByTheirNames) {
  const ScheduleSpec linear{"linear_schedule", {{"init", 0.0}, {"end", 1.0}, {"steps", 4L}}};
  const ScheduleSpec joined{"join_schedules", {}, {linear, linear}, {2}};
  EXPECT_THAT(at(make_schedule(joined), {1, 2, 3}), near({0.25f, 0, 0.25f}));
  EXPECT_THROW(make_schedule({"linear_schedule", {{"init", 0.0}}}), ArgumentError);
  EXPECT_THROW(
      make_schedule({"step_decay", {{"init", 1.0}, {"decay_rate", 0.5}, {"step_size", 0L}}}),
      ArgumentError);
  EXPECT_THROW(make_schedule({"no_schedule", {}}), UnsupportedError);
}

}  // namespace
}  // namespace mlxnx::optimizers
