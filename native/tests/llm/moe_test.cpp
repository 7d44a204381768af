#include "llm/parts/moe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "error_of.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;

std::vector<std::int32_t> sorted_numbers(const Tensor& experts) {
  return as_type(sort(experts, {.axis = -1}), DType::s32).to_vector<std::int32_t>();
}

TEST(Experts, ManyPairsAnswerWhatFewDo) {
  Maker maker(random::key(3));
  const SwitchGlu layer(8, 6, 4, maker, true);
  const SwitchMlp plain(8, 6, 4, maker, true);
  const Tensor x = sin(iota({1, 40, 8}, {.type = DType::f32}));
  const Tensor experts = remainder(iota({1, 40, 2}) * 3, Tensor(4));
  const auto close_to_each = [&](const auto& of) {
    const Tensor all = of(x, experts);
    EXPECT_EQ(all.shape(), (Shape{1, 40, 2, 8}));
    for (const std::int64_t row : {0, 7, 39}) {
      const auto one = [&](const Tensor& from) {
        return slice_along_axis(from, row, 1, {.axis = 1});
      };
      EXPECT_LT(reduce_max(abs(one(all) - of(one(x), one(experts)))).template item<float>(), 1e-6);
    }
  };
  close_to_each(layer);
  close_to_each(plain);
}

TEST(Routing, TakesTheLargestAndWeighsThem) {
  const Tensor logits = tensor({{1.0F, 3.0F, 2.0F, 0.0F}});
  const Routed largest = route_by_largest(logits, 2);
  EXPECT_THAT(sorted_numbers(largest.experts), ElementsAre(1, 2));
  EXPECT_NEAR(reduce_max(largest.scores).item<float>(), 0.7310586, 1e-6);
  const Routed part = route_by_scores(logits, {.experts = 4, .count = 2});
  EXPECT_LT(sum(part.scores).item<float>(), 0.9);
  const Routed whole =
      route_by_scores(logits, {.experts = 4, .count = 2, .normalized = true, .scale = 3});
  EXPECT_NEAR(sum(whole.scores).item<float>(), 3, 1e-5);
}

TEST(Routing, CorrectionsChooseButDontWeigh) {
  const Routed routed =
      route_by_scores(tensor({{5.0F, 4.0F, -5.0F}}), {.experts = 3, .count = 1, .is_sigmoid = true},
                      tensor({0.0F, 0.0F, 2.0F}));
  EXPECT_THAT(sorted_numbers(routed.experts), ElementsAre(2));
  EXPECT_NEAR(routed.scores.item<float>(), 0.0066929, 1e-6);
}

TEST(Routing, GroupsAreToldByTheirLargest) {
  // Two groups: one has the largest of all, the other the larger pair.
  const Tensor logits = tensor({{4.0F, -4.0F, 2.0F, 1.5F}});
  RoutingOptions options{.experts = 4, .count = 1, .is_sigmoid = true, .groups = 2};
  EXPECT_THAT(sorted_numbers(route_by_scores(logits, options).experts), ElementsAre(0));
  options.per_group = 2;
  EXPECT_THAT(sorted_numbers(route_by_scores(logits, options).experts), ElementsAre(2));
}

TEST(Routing, RefusesNumbersThatDontFit) {
  const auto told = [](const RoutingOptions& options) {
    return error_of<FormatError>([&] { check(options); });
  };
  EXPECT_THAT(told({.experts = 4, .count = 5}), HasSubstr("each token goes to 5 of 4"));
  EXPECT_THAT(told({.experts = 4, .count = 0}), HasSubstr("each token goes to 0"));
  EXPECT_THAT(told({.experts = 4, .groups = 3}), HasSubstr("4 experts, in 3 groups"));
  EXPECT_THAT(told({.experts = 4, .groups = 2, .kept_groups = 3}), HasSubstr("in 3 of 2 groups"));
  EXPECT_THAT(told({.experts = 4, .groups = 4, .per_group = 2}), HasSubstr("told by their 2"));
  EXPECT_THAT(told({.experts = 4, .count = 3, .groups = 2}), HasSubstr("goes to 3 of 2"));
}

}  // namespace
}  // namespace mlxnx::llm
