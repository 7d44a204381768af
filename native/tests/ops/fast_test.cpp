// Fused ops against loops over doubles, type by type and option by option.
#include "mlxnx/fast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "ops/number_tensors.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using OptionalTensor = std::optional<Tensor>;
using fast::GatedDeltaResult;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsNan;
using testing::Pointwise;
using testing_support::elements;

constexpr DType kFloats[] = {DType::f16, DType::bf16, DType::f32, DType::f64};

double tolerance(DType type) {
  if (type == DType::f64) return 1e-13;
  return type == DType::f32 ? 2e-6 : type == DType::f16 ? 2e-3 : 1.6e-2;
}

// The same numbers at every run, other ones for another `seed`.
Tensor random_tensor(const Shape& shape, DType type = DType::f32, std::uint64_t seed = 1) {
  return as_type(random::normal(random::key(seed), shape), type);
}

void expect_near(const Tensor& got, const Tensor& wanted, const std::string& what = "") {
  EXPECT_EQ(got.type(), wanted.type()) << what;
  EXPECT_THAT(elements(got), Pointwise(DoubleNear(tolerance(got.dtype())), elements(wanted)))
      << what;
}

using Doubles = std::vector<double>;

void expect_near(const Tensor& got, const Tensor& like, const Doubles& wanted,
                 const std::string& what) {
  EXPECT_EQ(got.dtype(), like.dtype()) << what;
  EXPECT_THAT(elements(got), Pointwise(DoubleNear(tolerance(got.dtype())), wanted)) << what;
}

Doubles norm(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias, double eps,
             bool is_centred) {
  Doubles all = elements(x);
  const auto length = static_cast<std::size_t>(x.shape().back());
  const Doubles w = weight ? elements(*weight) : Doubles(length, 1);
  const Doubles b = bias ? elements(*bias) : Doubles(length, 0);
  for (auto row = all.begin(); row != all.end(); row += static_cast<std::ptrdiff_t>(length)) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; i < length; ++i) mean += row[i] / static_cast<double>(length);
    if (!is_centred) mean = 0;
    for (std::size_t i = 0; i < length; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double root = std::sqrt(squares / static_cast<double>(length) + eps);
    for (std::size_t i = 0; i < length; ++i) row[i] = (row[i] - mean) / root * w[i] + b[i];
  }
  return all;
}

// Of `[batch, …, length, size]`.
Doubles turned(const Tensor& x, std::int64_t dims, const fast::RopeOptions& options) {
  Doubles all = elements(x);
  const Doubles offsets = elements(options.offset);
  const Doubles given = options.frequencies ? elements(*options.frequencies) : Doubles();
  const std::int64_t size = x.shape().back(), length = x.shape()[x.rank() - 2], half = dims / 2;
  const std::int64_t rows = x.size() / size, in_example = rows / x.shape()[0];
  for (std::int64_t row = 0; row < rows; ++row) {
    const double offset = offsets.size() == 1 ? offsets[0] : offsets.at(row / in_example);
    for (std::int64_t pair = 0; pair < half; ++pair) {
      const double turn = given.empty() ? std::pow(options.base, -static_cast<double>(pair) / half)
                                        : 1 / given.at(pair);
      const double angle = (static_cast<double>(row % length) + offset) * options.scale * turn;
      double& a = all.at(row * size + (options.traditional ? 2 * pair : pair));
      double& b = all.at(row * size + (options.traditional ? 2 * pair + 1 : half + pair));
      const double first = a * std::cos(angle) - b * std::sin(angle);
      b = a * std::sin(angle) + b * std::cos(angle);
      a = first;
    }
  }
  return all;
}

Doubles attended(const Tensor& queries, const Tensor& keys, const Tensor& values,
                 const fast::AttentionOptions& options) {
  const Shape &q = queries.shape(), &k = keys.shape(), &v = values.shape();
  const Doubles in_q = elements(queries), in_k = elements(keys), in_v = elements(values);
  const Shape scores{q[0], q[1], q[2], k[2]};
  const Doubles mask = options.mask ? elements(broadcast(*options.mask, scores)) : Doubles();
  const bool is_seen = options.mask && options.mask->dtype() == DType::u8;
  Doubles result;
  for (std::int64_t at = 0; at < q[0] * q[1] * q[2]; ++at) {
    const std::int64_t query = at % q[2], head = at / q[2] % q[1], batch = at / q[2] / q[1];
    const std::int64_t shared = (batch * k[1] + head / (q[1] / k[1])) * k[2];
    Doubles row;
    for (std::int64_t key = 0; key < k[2]; ++key) {
      double score = 0;
      for (std::int64_t i = 0; i < q[3]; ++i)
        score += in_q.at(at * q[3] + i) * in_k.at((shared + key) * q[3] + i);
      score *= *options.scale;
      const bool is_later = options.causal && key > query + k[2] - q[2];
      if (is_later || (is_seen && mask.at(at * k[2] + key) == 0)) score = -1e30;
      if (options.mask && !is_seen) score += mask.at(at * k[2] + key);
      row.push_back(score);
    }
    if (options.sinks) row.push_back(elements(*options.sinks).at(head));
    const double largest = *std::max_element(row.begin(), row.end());
    double whole = 0;
    for (double& score : row) whole += score = std::exp(score - largest);
    for (std::int64_t i = 0; i < v[3]; ++i) {
      double value = 0;
      for (std::int64_t key = 0; key < k[2]; ++key)
        value += row.at(key) / whole * in_v.at((shared + key) * v[3] + i);
      result.push_back(value);
    }
  }
  return result;
}

TEST(Fast, NormsAreWhatTheyMean) {
  for (const DType type : kFloats) {
    const Tensor x = random_tensor({3, 5, 40}, type) + 2, w = random_tensor({40}, type, 2),
                 b = random_tensor({40}, type, 3);
    const std::string what(name(type));
    expect_near(fast::rms_norm(x, w), x, norm(x, w, {}, 1e-5, false), what);
    expect_near(fast::rms_norm(x, {}, {.eps = 0.5}), x, norm(x, {}, {}, 0.5, false), what);
    for (const OptionalTensor& weight : {OptionalTensor(), OptionalTensor(w)}) {
      for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
        expect_near(fast::layer_norm(x, weight, bias), x, norm(x, weight, bias, 1e-5, true), what);
      }
    }
  }
  EXPECT_THAT(elements(fast::layer_norm(tensor({1, 3}), {}, tensor({0.0, 1.0}), {.eps = 0})),
              ElementsAre(-1, 2));
  EXPECT_EQ(fast::rms_norm(tensor({1, 3})).dtype(), DType::f32);
  EXPECT_EQ(fast::rms_norm(random_tensor({2, 4}, DType::bf16), random_tensor({4})).dtype(),
            DType::f32);
  EXPECT_THAT(elements(fast::layer_norm(constant(0, DType::f32, {0, 3}))), IsEmpty());
  EXPECT_THAT(elements(fast::rms_norm(constant(0, DType::f32, {3, 0}))), IsEmpty());
}

// MLX adds one square after the other.
TEST(Fast, NormsOfLongRowsArePrecise) {
  const std::int64_t length = 1 << 20;
  const Tensor x = broadcast(tensor({0.1, 0.3}, DType::f32), {length, 2});
  const Tensor row = reshape(x, {1, 2 * length});
  const Tensor normal = fast::rms_norm(row, {}, {.eps = 0});
  EXPECT_NEAR(slice(normal, {0, 0}, {1, 1}).item<double>(), 0.1 / std::sqrt(0.05), 1e-6);
  const Tensor centred = fast::layer_norm(row, {}, {}, {.eps = 0});
  EXPECT_NEAR(slice(centred, {0, 0}, {1, 1}).item<double>(), -1, 2e-6);
}

// More work than one thread should have, and than is done at once.
TEST(Fast, LargeCallsAreShared) {
  const auto near = [](const Tensor& found, const Tensor& wanted) {
    return reduce_max(abs(as_type(found, DType::f64) - wanted)).item<double>();
  };
  const auto wide = [](const Tensor& x) { return as_type(x, DType::f64); };
  const Tensor q = random_tensor({2, 6, 150, 64}, DType::f32);
  const Tensor k = random_tensor({2, 2, 400, 64}, DType::f32);
  const Tensor v = random_tensor({2, 2, 400, 48}, DType::f32);
  for (const bool causal : {false, true}) {
    const fast::AttentionOptions options{.scale = 0.125, .causal = causal};
    EXPECT_LT(near(fast::scaled_dot_product_attention(q, k, v, options),
                   fast::scaled_dot_product_attention(wide(q), wide(k), wide(v), options)),
              1e-5);
  }
  const Tensor x = random_tensor({3001, 700}, DType::f32);
  const Tensor weight = random_tensor({700}, DType::f32), bias = random_tensor({700}, DType::f32);
  EXPECT_LT(
      near(fast::layer_norm(x, weight, bias), fast::layer_norm(wide(x), wide(weight), wide(bias))),
      1e-5);
}

TEST(Fast, RopeTurnsPairs) {
  for (const DType type : kFloats) {
    const Tensor x = random_tensor({3, 2, 7, 12}, type);
    for (const bool traditional : {false, true}) {
      for (const std::int64_t dims : {12, 8, 2}) {
        const fast::RopeOptions plain{.traditional = traditional, .base = 100, .offset = 3};
        fast::RopeOptions each = plain;
        each.offset = tensor({0, 5, 2});
        fast::RopeOptions given{.traditional = traditional, .scale = 0.5};
        given.frequencies = iota({dims / 2}, {.type = DType::f32}) + 1;
        for (const fast::RopeOptions& options : {plain, each, given}) {
          expect_near(fast::rope(x, dims, options), x, turned(x, dims, options),
                      std::string(name(type)));
        }
      }
    }
  }
  const Tensor unit = tensor({{{1.0, 0.0}, {1.0, 0.0}}});
  EXPECT_THAT(elements(fast::rope(unit, 2)),
              Pointwise(DoubleNear(1e-6), {1.0, 0.0, std::cos(1.0), std::sin(1.0)}));
  EXPECT_THAT(elements(fast::rope(constant(0, DType::f32, {2, 0, 4}), 2)), IsEmpty());
}

struct AttentionShapes {
  Shape q, k, v;
};
const AttentionShapes kAttentions[] = {
    {{2, 4, 5, 8}, {2, 4, 5, 8}, {2, 4, 5, 8}},
    {{2, 4, 3, 8}, {2, 2, 6, 8}, {2, 2, 6, 3}},
    {{1, 6, 1, 4}, {1, 1, 9, 4}, {1, 1, 9, 4}},
    {{1, 2, 5, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}},
};

TEST(Fast, AttentionIsWhatItMeans) {
  for (const DType type : kFloats) {
    for (const auto& [of_q, of_k, of_v] : kAttentions) {
      const Tensor q = random_tensor(of_q, type), k = random_tensor(of_k, type, 2),
                   v = random_tensor(of_v, type, 3);
      const Shape scores{of_q[0], of_q[1], of_q[2], of_k[2]};
      std::vector<fast::AttentionOptions> all(7);
      for (auto& options : all) options.scale = 0.3;
      all[1].causal = true;
      all[2].mask = random::bernoulli(random::key(4), 0.5, scores);
      all[3].mask = random_tensor({scores[1], 1, scores[3]}, type, 5);
      all[4].mask = constant(0, DType::u8, {scores[2], scores[3]});
      all[5].sinks = random_tensor({scores[1]}, type, 6);
      all[6].sinks = all[5].sinks;
      all[6].causal = true;
      for (std::size_t i = 0; i < all.size(); ++i) {
        expect_near(fast::scaled_dot_product_attention(q, k, v, all[i]), q,
                    attended(q, k, v, all[i]),
                    std::string(name(type)) + " option " + std::to_string(i));
      }
    }
  }
}

TEST(Fast, AttentionAtCorners) {
  const Tensor q = random_tensor({1, 2, 3, 4}), k = random_tensor({1, 2, 2, 4}, DType::f32, 2),
               v = random_tensor({1, 2, 2, 4}, DType::f32, 3);
  const Tensor mean = sum(v, {.axes = Axes{2}, .keep_axes = true}) / 2;
  const Tensor all_hidden =
      fast::scaled_dot_product_attention(q, k, v, {.mask = constant(0, DType::u8, {3, 2})});
  expect_near(all_hidden, broadcast(mean, {1, 2, 3, 4}));
  const Tensor causal = fast::scaled_dot_product_attention(q, k, v, {.causal = true});
  expect_near(slice_along_axis(causal, 0, 1, {.axis = 2}), mean);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(elements(fast::scaled_dot_product_attention(
                  q, k, v, {.mask = constant(-infinity, DType::f32, {3, 2})})),
              Each(IsNan()));
  const Tensor none = constant(0, DType::f32, {1, 2, 0, 4});
  EXPECT_THAT(elements(fast::scaled_dot_product_attention(none, k, v)), IsEmpty());
  EXPECT_THAT(elements(fast::scaled_dot_product_attention(q, none, none)), Each(0));
}

TEST(Fast, SaysWhatDoesNotFit) {
  const Tensor q = random_tensor({1, 4, 3, 4}), k = random_tensor({1, 3, 2, 4});
  EXPECT_EQ(message_of<ShapeError>([&] { fast::scaled_dot_product_attention(q, k, k); }),
            "[fast:scaled_dot_product_attention] the heads of queries must be a multiple of those "
            "of keys: {1, 4, 3, 4}, {1, 3, 2, 4} and {1, 3, 2, 4}");
  const Tensor wide = constant(1, DType::u8, {3, 3});
  EXPECT_EQ(message_of<ShapeError>([&] {
              fast::scaled_dot_product_attention(q, q, q, {.mask = tensor({1.0, 2.0})});
            }),
            "[fast:scaled_dot_product_attention] a mask of shape {2} can't be broadcast to "
            "{1, 4, 3, 3}");
  EXPECT_EQ(message_of<ArgumentError>([&] {
              fast::scaled_dot_product_attention(q, q, q, {.mask = wide, .causal = true});
            }),
            "[fast:scaled_dot_product_attention] takes a mask or causal, not both");
  for (const DType type : {DType::c64, DType::s32, DType::u16}) {
    EXPECT_EQ(message_of<TypeError>([&] {
                fast::scaled_dot_product_attention(q, q, q, {.mask = as_type(wide, type)});
              }),
              "[fast:scaled_dot_product_attention] a mask is u8 (1 where to look) or floats that "
              "are added, got " +
                  std::string(name(type)));
  }
  EXPECT_EQ(message_of<ShapeError>([&] { fast::rms_norm(q, tensor({1.0})); }),
            "[fast:rms_norm] the weight must have the shape {4}, got {1}");
  EXPECT_EQ(message_of<ShapeError>([] { fast::layer_norm(Tensor(1.0)); }),
            "[fast:layer_norm] a scalar has no axis to go along");
  EXPECT_EQ(message_of<ArgumentError>([&] { fast::rope(q, 3); }),
            "[fast:rope] dims must be even, positive and at most 4, got 3");
  EXPECT_EQ(message_of<ShapeError>([&] {
              fast::rope(q, 4, {.offset = tensor({1, 2})});
            }),
            "[fast:rope] an offset is a scalar or has the shape {1}, got {2}");
  EXPECT_THROW(fast::rope(q, 4, {.offset = 0.5}), TypeError);
  EXPECT_THROW(fast::rms_norm(as_type(q, DType::c64)), TypeError);
  EXPECT_THROW(fast::logcumsumexp(q, {.axis = 4}), ShapeError);
  EXPECT_THROW(fast::gated_delta_update(q, k, q, q, q), ShapeError);
}

TEST(Fast, SoftmaxAndItsRelatives) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType type : kFloats) {
    const Tensor x = random_tensor({3, 4, 50}, type) * 5;
    const Tensor shares = fast::softmax(x, {.axes = Axes{-1}});
    EXPECT_EQ(shares.type(), x.type());
    EXPECT_THAT(elements(sum(as_type(shares, DType::f64), {.axes = Axes{2}})),
                Each(DoubleNear(1, 50 * tolerance(type))));
    const Tensor powers = exp(as_type(x, DType::f64));
    expect_near(shares, x, elements(powers / sum(powers, {.axes = Axes{2}, .keep_axes = true})),
                std::string(name(type)));
    expect_near(fast::logsumexp(x, {.axes = Axes{0, 2}}),
                as_type(log(sum(exp(as_type(x, DType::f64)), {.axes = Axes{0, 2}})), type));
  }
  EXPECT_THAT(elements(fast::softmax(tensor({{0, 0}, {0, 0}}))), Each(0.25));
  EXPECT_THAT(
      elements(fast::logsumexp(tensor({{-infinity, -infinity}, {infinity, 1.0}, {1000.0, 1000.0}}),
                               {.axes = Axes{1}, .keep_axes = true})),
      Pointwise(DoubleNear(1e-3), {-infinity, infinity, 1000.693}));
  const Tensor x = random_tensor({2, 9}, DType::f64);
  const Tensor running = log(cumulative_sum(exp(x), {.axis = 1}));
  expect_near(fast::logcumsumexp(x, {.axis = 1}), running);
  expect_near(fast::logcumsumexp(x, {.axis = -1, .reverse = true}),
              log(cumulative_sum(exp(x), {.axis = 1, .reverse = true})));
  const Tensor before = fast::logcumsumexp(x, {.axis = 1, .inclusive = false});
  EXPECT_THAT(elements(slice_along_axis(before, 0, 1, {.axis = 1})), Each(-infinity));
  expect_near(slice_along_axis(before, 1, 8, {.axis = 1}),
              slice_along_axis(running, 0, 8, {.axis = 1}));
  // The first is far below the last: a common factor would lose it.
  EXPECT_THAT(elements(fast::logcumsumexp(tensor({-1000.0, 0.0, 1000.0}))),
              ElementsAre(-1000, 0, 1000));
}

TEST(Fast, DeltaRuleKeepsItsStateWhereMasked) {
  const Tensor q = random_tensor({1, 3, 1, 4}), k = random_tensor({1, 3, 1, 4}, DType::f32, 2),
               v = random_tensor({1, 3, 2, 5}, DType::f32, 3),
               g = constant(0.5, DType::f32, {1, 3, 2});
  const auto first = [](const Tensor& x) { return slice_along_axis(x, 0, 2, {.axis = 1}); };
  const auto [values, state] =
      fast::gated_delta_update(q, k, v, g, g, {.mask = tensor({{1, 1, 0}})});
  const auto [short_values, short_state] =
      fast::gated_delta_update(first(q), first(k), first(v), first(g), first(g));
  expect_near(state, short_state);
  expect_near(first(values), short_values);
  EXPECT_EQ(values.shape(), (Shape{1, 3, 2, 5}));
  EXPECT_EQ(state.shape(), (Shape{1, 2, 5, 4}));
}

// Token by token, each from the state that the one before left.
GatedDeltaResult delta_by_tokens(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& g,
                                 const Tensor& beta) {
  std::vector<Tensor> values;
  OptionalTensor state;
  for (std::int64_t at = 0; at < q.shape()[1]; ++at) {
    const auto token = [&](const Tensor& x) { return slice_along_axis(x, at, 1, {.axis = 1}); };
    auto [value, next] = fast::gated_delta_update(token(q), token(k), token(v), token(g),
                                                  token(beta), {.initial_state = state});
    values.push_back(value);
    state = next;
  }
  return {concatenate(values, {.axis = 1}), *state};
}

TEST(Fast, DeltaRuleOfManyTokensIsThatOfEachAfterTheOther) {
  // The last chunk is not full, and gates of 0 forget everything.
  const Shape keys{2, 150, 2, 4};
  const Tensor q = random_tensor(keys, DType::f64),
               v = random_tensor({2, 150, 4, 5}, DType::f64, 3);
  const Tensor k = random_tensor(keys, DType::f64, 2) * 0.4;
  const Tensor beta = sigmoid(random_tensor({2, 150, 4}, DType::f64, 4));
  for (const Shape& shape : {Shape{2, 150, 4}, Shape{2, 150, 4, 4}}) {
    const Tensor shares = sigmoid(random_tensor(shape, DType::f64, 5));
    const Tensor gates = select(shares > 0.2, shares, 0);
    const auto [values, state] = fast::gated_delta_update(q, k, v, gates, beta);
    const auto [each, last] = delta_by_tokens(q, k, v, gates, beta);
    expect_near(values, each);
    expect_near(state, last);
  }
}

TEST(Fast, DeltaRuleStaysExactWhereAllTokensAreAlike) {
  // Each token corrects what the one before wrote: sums of powers of that would lose all digits.
  const Tensor k = broadcast(tensor({0.6F, 0.8F}), {1, 64, 1, 2});
  const Tensor v = random_tensor({1, 64, 1, 3}), one = constant(1, DType::f32, {1, 64, 1});
  const auto [values, state] = fast::gated_delta_update(k, k, v, one, one);
  expect_near(values, v);
}

TEST(Fast, TracedAsOneInstruction) {
  const auto attend = [](const Tensor& x) {
    return fast::scaled_dot_product_attention(x, x, x, {.causal = true});
  };
  const Tensor x = random_tensor({1, 2, 6, 8});
  expect_near(jit(attend)(x), attend(x));
  const Tensor many = random_tensor({3, 1, 2, 6, 8});
  const Tensor mapped = vmap(attend)(many);
  const Tensor together = attend(reshape(many, {3, 2, 6, 8}));
  expect_near(reshape(mapped, {3, 2, 6, 8}), together);
}

// Programs are fused after some runs; the numbers of what an op means are then nodes of the graph.
TEST(Fast, AnswersTheSameInAFusedProgram) {
  const auto attend = [](const Tensor& x, const Tensor& w) {
    const Tensor normal = fast::layer_norm(x, w, w);
    const Tensor turned = fast::rope(normal, 8, {.base = 100, .offset = 3});
    return fast::scaled_dot_product_attention(turned, turned, normal, {.causal = true});
  };
  const Tensor x = random_tensor({1, 2, 96, 8}), w = random_tensor({8}, DType::f32, 2);
  const Doubles wanted = elements(attend(as_type(x, DType::f64), as_type(w, DType::f64)));
  const auto program = jit(attend);
  // Each of the three adds an error of its own.
  const auto near = Pointwise(DoubleNear(3 * tolerance(DType::f32)), wanted);
  EXPECT_THAT(elements(attend(x, w)), near);
  for (int run = 0; run < 20; ++run) EXPECT_THAT(elements(program(x, w)), near) << run;
}

}  // namespace
}  // namespace mlxnx
