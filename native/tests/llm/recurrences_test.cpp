// Recurrent layers: many tokens at once against one after the other, and padding against none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "llm/parts/causal_conv.h"
#include "llm/parts/mamba.h"
#include "llm/parts/ssm.h"
#include "llm/parts/wkv.h"
#include "mlxnx/mlxnx.h"
#include "ops/numbers.h"

namespace mlxnx::llm {
namespace {

using testing::DoubleNear;
using testing::Pointwise;
using testing_support::elements;

// Past two chunks, and into a third one that is not full.
constexpr std::int64_t kLength = 150;

Tensor drawn(const Shape& shape, std::uint64_t seed) {
  return random::normal(random::key(seed), shape);
}

Tensor tokens(const Tensor& x, std::int64_t from, std::int64_t count) {
  return slice_along_axis(x, from, count, {.axis = 1});
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance = 2e-5) {
  ASSERT_EQ(got.type(), wanted.type());
  EXPECT_THAT(elements(got), Pointwise(DoubleNear(tolerance), elements(wanted)));
}

// `part(from, count, state)` answers values and the next state: all at once, and one by one.
template <typename Part>
void expect_same_by_tokens(const Part& part) {
  std::optional<Tensor> state;
  const auto [values, last] = part(0, kLength, state);
  std::vector<Tensor> each;
  for (std::int64_t at = 0; at < kLength; ++at) {
    auto [value, next] = part(at, 1, state);
    each.push_back(value);
    state = next;
  }
  expect_near(values, concatenate(each, {.axis = 1}));
  expect_near(last, *state);
}

TEST(Recurrences, StateSpaces) {
  const Tensor x = drawn({2, kLength, 4, 3}, 1), b = drawn({2, kLength, 2, 5}, 2),
               c = drawn({2, kLength, 2, 5}, 3), rates = tensor({-0.1F, -1.0F, -4.0F, -100.0F});
  const Tensor times = abs(drawn({2, kLength, 4}, 4)) * 0.5;
  expect_same_by_tokens([&](std::int64_t from, std::int64_t count, const auto& state) {
    const auto part = [&](const Tensor& of) { return tokens(of, from, count); };
    const StateSpaceResult result =
        state_space(part(x), part(times), rates, part(b), part(c), state);
    return std::pair(result.values, result.state);
  });
}

TEST(Recurrences, StateSpacesStayWhereNoTimePasses) {
  const Tensor x = drawn({1, 70, 2, 3}, 1), b = drawn({1, 70, 1, 5}, 2),
               times = broadcast(select(iota({70}) < 60, 0.5, 0), {1, 70, 2}, {.axes = Axes{1}}),
               rates = tensor({-0.1F, -1.0F});
  const auto state_after = [&](std::int64_t count) {
    const auto part = [&](const Tensor& of) { return tokens(of, 0, count); };
    return state_space(part(x), part(times), rates, part(b), part(b), std::nullopt).state;
  };
  expect_near(state_after(70), state_after(60));
}

TEST(Recurrences, SelectiveScans) {
  const Tensor x = drawn({2, kLength, 6}, 1), b = drawn({2, kLength, 4}, 2),
               c = drawn({2, kLength, 4}, 3), rates = -abs(drawn({6, 4}, 5));
  const Tensor times = abs(drawn({2, kLength, 6}, 4)) * 0.5;
  expect_same_by_tokens([&](std::int64_t from, std::int64_t count, const auto& state) {
    const auto part = [&](const Tensor& of) { return tokens(of, from, count); };
    const ScanResult result = selective_scan(part(x), part(times), rates, part(b), part(c), state);
    return std::pair(result.values, result.state);
  });
}

TEST(Recurrences, Wkv) {
  const Shape shape{2, kLength, 2, 4};
  const Tensor key = drawn(shape, 1), value = drawn(shape, 2), r = drawn(shape, 3),
               decay = exp(-abs(drawn(shape, 4))), raw = drawn(shape, 5);
  const Tensor unit = raw / sqrt(sum(raw * raw, {.axes = Axes{-1}, .keep_axes = true}));
  const Tensor rate = sigmoid(drawn(shape, 6));
  expect_same_by_tokens([&](std::int64_t from, std::int64_t count, const auto& state) {
    const auto part = [&](const Tensor& of) { return tokens(of, from, count); };
    const WkvResult result = wkv({.receptance = part(r),
                                  .decay = part(decay),
                                  .key = part(key),
                                  .value = part(value),
                                  .a = -part(unit),
                                  .b = part(unit * rate)},
                                 state);
    return std::pair(result.values, result.state);
  });
}

TEST(CausalConv, LooksBackOverTheEndOfAChunk) {
  Maker maker(random::key(7));
  CausalConv conv(3, 4, true, maker);
  conv.bias = drawn({3}, 2);
  const Tensor x = drawn({2, 9, 3}, 1);
  std::optional<Tensor> none, state;
  const Tensor whole = conv(x, none, std::nullopt);
  std::vector<Tensor> parts;
  for (const auto& [from, count] : {std::pair(0, 5), {5, 1}, {6, 1}, {7, 2}})
    parts.push_back(conv(tokens(x, from, count), state, std::nullopt));
  expect_near(concatenate(parts, {.axis = 1}), whole);
  // Against the convolution of Nx, over zeros in front.
  const Tensor moved = transpose(x, {.axes = Axes{0, 2, 1}});
  const Tensor kernel = transpose(conv.weight, {.axes = Axes{0, 2, 1}});
  const Tensor wanted =
      transpose(mlxnx::conv(moved, kernel, {.padding = {{3, 0}}, .feature_group_size = 3}),
                {.axes = Axes{0, 2, 1}});
  expect_near(whole, wanted + *conv.bias);
}

TEST(CausalConv, PaddingCountsAsZeros) {
  Maker maker(random::key(7));
  const CausalConv conv(3, 3, false, maker);
  const Tensor x = drawn({1, 6, 3}, 1), mask = tensor({{0, 0, 1, 1, 1, 1}});
  std::optional<Tensor> padded, single;
  const Tensor got = conv(x, padded, mask);
  expect_near(tokens(got, 2, 4), conv(tokens(x, 2, 4), single, std::nullopt));
  expect_near(*padded, *single);
}

TEST(CausalConv, NeedsTwoTokens) {
  Maker maker;
  EXPECT_THROW(CausalConv(3, 1, false, maker), FormatError);
}

TEST(CausalConv, PublishedKernelsAreTurnedOnce) {
  nn::Parameters weights{{"a.conv1d.weight", drawn({3, 1, 4}, 1)},
                         {"a.weight", drawn({3, 1, 4}, 1)}};
  EXPECT_TRUE(take_published_convs(weights));
  EXPECT_EQ(weights.at("a.conv1d.weight").shape(), (Shape{3, 4, 1}));
  EXPECT_EQ(weights.at("a.weight").shape(), (Shape{3, 1, 4}));
  EXPECT_FALSE(take_published_convs(weights));
}

}  // namespace
}  // namespace mlxnx::llm
