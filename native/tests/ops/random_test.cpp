#include "mlxnx/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "mlxnx/mlxnx.h"
#include "ops/number_tensors.h"
#include "ops/numbers.h"
#include "ops/unknown.h"

namespace mlxnx {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;
using testing::Ge;
using testing::IsEmpty;
using testing::Lt;
using testing::Pointwise;
using testing::SizeIs;
using testing::UnorderedElementsAreArray;
using testing_support::elements;

const Tensor kKey = random::key(42);

double mean(const Tensor& tensor) { return sum(tensor).item<double>() / tensor.size(); }
double deviation(const Tensor& tensor) {
  const Tensor far = tensor - mean(tensor);
  return std::sqrt(mean(far * far));
}

TEST(Random, StreamsAreThoseOfMlx) {
  EXPECT_THAT(elements(kKey), ElementsAre(0, 42));
  EXPECT_THAT(elements(random::key((std::uint64_t{1} << 40) + 7)), ElementsAre(256, 7));
  const auto [first, second] = random::split(kKey);
  EXPECT_THAT(elements(first), ElementsAre(2465931498, 3679230171));
  EXPECT_THAT(elements(second), ElementsAre(255383827, 267815257));
  EXPECT_EQ(random::uniform(kKey, {5}).to_vector<float>(),
            (std::vector<float>{0.7298188805580139F, 0.8691938519477844F, 0.1964380443096161F,
                                0.20818570256233215F, 0.18662425875663757F}));
  EXPECT_THAT(elements(random::uniform(kKey, {3}, {.low = -2, .high = 3, .type = DType::f16})),
              ElementsAre(0.87109375, -1.4990234375, -1.703125));
  EXPECT_THAT(random::normal(kKey, {3}, {.loc = 2, .scale = 0.5}).to_vector<float>(),
              Pointwise(FloatNear(1e-6F), {2.0934677F, 1.3596749F, 1.2203436F}));
  EXPECT_THAT(elements(random::randint(kKey, 0, 10, {12})),
              ElementsAre(6, 1, 3, 9, 0, 2, 7, 5, 2, 3, 2, 2));
  EXPECT_THAT(elements(random::bernoulli(kKey, 0.2, Shape{12})),
              ElementsAre(0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(elements(random::permutation(kKey, 10)), ElementsAre(5, 2, 7, 1, 6, 8, 0, 9, 4, 3));
  EXPECT_THAT(elements(random::categorical(kKey, tensor({0.1, 0.4, -1.0}), {.num_samples = 12})),
              ElementsAre(1, 0, 0, 2, 0, 0, 1, 1, 0, 0, 0, 0));
  EXPECT_THAT(elements(random::categorical(kKey, tensor({{0.1, 0.4, -1.0}, {3.0, 1.0, 2.0}}),
                                           {.shape = Shape{4, 2}})),
              ElementsAre(2, 2, 1, 0, 1, 0, 1, 1));
}

// Small ones are made on the host, large ones by MLX; a prefix of the words of one size tells both.
TEST(Random, BitsDependOnKeyShapeAndWidthOnly) {
  for (const DType type : {DType::u8, DType::u16, DType::u32}) {
    EXPECT_EQ(random::bits(kKey, {2, 3}, type).type(), (TensorType{type, {2, 3}}));
    EXPECT_EQ(random::bits(kKey, {2, 3}, type).to_bytes(),
              random::bits(kKey, {6}, type).to_bytes());
    EXPECT_THAT(random::bits(kKey, {0, 3}, type).to_bytes(), IsEmpty());
    EXPECT_THAT(random::bits(kKey, {}, type).to_bytes(), SizeIs(size_bytes(type)));
    EXPECT_EQ(random::bits(testing_support::unknown(kKey), {7}, type).to_bytes(),
              random::bits(kKey, {7}, type).to_bytes());
  }
  EXPECT_NE(random::bits(kKey, {4}).to_bytes(), random::bits(random::key(43), {4}).to_bytes());
  std::set<std::uint32_t> different;
  for (const std::uint32_t word : random::bits(kKey, {10'000}).to_vector<std::uint32_t>())
    different.insert(word);
  EXPECT_GT(different.size(), 9'990U);
}

TEST(Random, RefusesWhatIsNoKeyAndNoType) {
  EXPECT_EQ(message_of<ShapeError>([] {
              random::split(tensor({1, 2}));
            }),
            "[random_bits] a key is u32[2], got s32[2]");
  EXPECT_THROW(random::bits(random::split(kKey, 3), {2}), ShapeError);
  EXPECT_EQ(message_of<TypeError>([] { random::bits(kKey, {2}, DType::s32); }),
            "[random_bits] bits are u8, u16 or u32, not s32");
  EXPECT_EQ(message_of<ShapeError>([] { random::split(kKey, -1); }),
            "[random_bits] a dimension is negative in {-1, 2}");
  EXPECT_EQ(message_of<TypeError>([] { random::normal(kKey, {2}, {.type = DType::s32}); }),
            "[normal] makes floats, not s32");
  EXPECT_EQ(message_of<ShapeError>([] {
              random::uniform(kKey, {2}, {.low = tensor({1, 2, 3})});
            }),
            "[uniform] shapes {3} and {2} do not broadcast together");
  EXPECT_EQ(message_of<ShapeError>([] {
              random::uniform(kKey, {}, {.low = tensor({1, 2})});
            }),
            "[uniform] numbers of shape {} can't be drawn from operands of shape {2}");
  EXPECT_THROW(random::bernoulli(kKey, 1), TypeError);
  EXPECT_THROW(random::randint(kKey, 0, 2, {3}, {.type = DType::f32}), TypeError);
  EXPECT_THROW(random::categorical(kKey, tensor({0.5}), {.axis = 1}), ShapeError);
  EXPECT_THROW(random::categorical(kKey, tensor({0.5}), {.shape = Shape{2}, .num_samples = 2}),
               ArgumentError);
  EXPECT_THROW(random::multivariate_normal(kKey, tensor({0.0}), eye(2)), ShapeError);
  EXPECT_THROW(random::multivariate_normal(kKey, tensor({0.0, 0.0}), eye(2), {.type = DType::f16}),
               TypeError);
}

TEST(Random, NumbersLieWithinTheirBounds) {
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    const Tensor drawn = random::uniform(kKey, {20'000}, {.type = type});
    EXPECT_EQ(drawn.dtype(), type);
    EXPECT_THAT(elements(drawn), Each(AllOf(Ge(0), Lt(1)))) << name(type);
    EXPECT_NEAR(mean(as_type(drawn, DType::f64)), 0.5, 0.01) << name(type);
    const Tensor cut = random::truncated_normal(kKey, -1, 0.5, {.shape = Shape{500}, .type = type});
    EXPECT_EQ(cut.dtype(), type);
    EXPECT_THAT(elements(cut), Each(AllOf(Ge(-1), testing::Le(0.5)))) << name(type);
  }
  EXPECT_THAT(elements(random::randint(kKey, -3, 4, {5'000}, {.type = DType::s8})),
              Each(AllOf(Ge(-3), Lt(4))));
  EXPECT_THAT(elements(random::bernoulli(kKey, 1.0, Shape{5'000})), Each(1));
  EXPECT_THAT(elements(random::bernoulli(kKey, 0.0, Shape{5'000})), Each(0));
}

TEST(Random, DistributionsHaveTheirMeansAndDeviations) {
  const Shape many{40'000};
  const auto expect = [](const Tensor& drawn, double wanted_mean, double wanted_deviation) {
    EXPECT_NEAR(mean(drawn), wanted_mean, 0.03);
    EXPECT_NEAR(deviation(drawn), wanted_deviation, 0.03);
  };
  expect(random::normal(kKey, many, {.loc = 1, .scale = 2}), 1, 2);
  expect(random::normal(kKey, many, {.type = DType::f64}), 0, 1);
  expect(random::gumbel(kKey, many), 0.5772, 1.2825);
  expect(random::laplace(kKey, many, {.loc = -1, .scale = 0.5}), -1, std::sqrt(0.5));
  expect(as_type(random::bernoulli(kKey, 0.3, many), DType::f32), 0.3, std::sqrt(0.21));
  const Tensor covariance = tensor({{2.0, 0.6}, {0.6, 1.0}});
  const Tensor vectors =
      random::multivariate_normal(kKey, tensor({1.0, -1.0}), covariance, {.shape = many});
  const Tensor far = vectors - tensor({1.0, -1.0});
  EXPECT_THAT(elements(dot(transpose(far), far) / 40'000.0),
              Pointwise(testing::DoubleNear(0.04), {2.0, 0.6, 0.6, 1.0}));
  const Tensor two = stack({covariance, eye(2) * 1.0});
  EXPECT_EQ(random::multivariate_normal(kKey, tensor({1.0, -1.0}), two, {.shape = {5, 1}}).shape(),
            (Shape{5, 2, 2}));
}

TEST(Random, F64HasAllItsBits) {
  std::size_t fine = 0;
  for (const double x : random::uniform(kKey, {64}, {.type = DType::f64}).to_vector<double>())
    fine += static_cast<double>(static_cast<float>(x)) != x ? 1 : 0;
  EXPECT_GT(fine, 60U);
}

TEST(Random, CategoricalDrawsByProbability) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Tensor logits = log(tensor({0.5, 0.0, 0.2, 0.3}));
  const Tensor drawn = random::categorical(kKey, logits, {.num_samples = 20'000});
  EXPECT_EQ(drawn.type(), (TensorType{DType::u32, {20'000}}));
  const Tensor each = random::categorical(kKey, broadcast(logits, {20'000, 4}));
  for (const Tensor& draws : {drawn, each}) {
    std::vector<double> shares(4, 0);
    for (const double at : elements(draws)) shares[static_cast<std::size_t>(at)] += 1.0 / 20'000;
    EXPECT_THAT(shares, Pointwise(testing::DoubleNear(0.02), {0.5, 0.0, 0.2, 0.3}));
  }
  EXPECT_THAT(
      elements(random::categorical(kKey, tensor({0.0, kInfinity, 5.0}), {.num_samples = 9})),
      Each(1));
  EXPECT_EQ(random::categorical(kKey, logits).type(), (TensorType{DType::u32, {}}));
  for (const std::int64_t count : {1, 2, 3, 5, 17}) {
    const Tensor alike = constant(0, DType::f32, {count});
    std::set<double> seen;
    for (const double at : elements(random::categorical(kKey, alike, {.num_samples = 1'000})))
      seen.insert(at);
    EXPECT_THAT(seen, SizeIs(count));
    EXPECT_EQ(*seen.rbegin(), count - 1);
  }
}

TEST(Random, PermutationsKeepEveryElement) {
  const Tensor x = iota({3, 4});
  EXPECT_THAT(elements(random::permutation(kKey, x)), UnorderedElementsAreArray(elements(x)));
  const Tensor columns = random::permutation(kKey, x, {.axis = -1});
  EXPECT_EQ(elements(sort(columns, {.axis = 1})), elements(x));
  EXPECT_NE(elements(columns), elements(x));
}

TEST(Random, TracedMappedAndDifferentiated) {
  const auto noise = [](const Tensor& key) { return random::normal(key, {3}); };
  EXPECT_EQ(jit(noise)(kKey).to_bytes(), noise(kKey).to_bytes());
  const Tensor keys = random::split(kKey, 4);
  const Tensor mapped = vmap(noise)(keys);
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto row = [&](const Tensor& all) {
      return reshape(slice_along_axis(all, i, 1), {all.shape()[1]});
    };
    EXPECT_EQ(elements(row(mapped)), elements(noise(row(keys)))) << i;
  }
  const auto total = [](const Tensor& scale) {
    return sum(random::normal(kKey, {8}, {.loc = 1, .scale = scale}));
  };
  EXPECT_NEAR(grad(total)(Tensor(2.0)).item<double>(),
              sum(random::normal(kKey, {8})).item<double>(), 1e-5);
}

}  // namespace
}  // namespace mlxnx
