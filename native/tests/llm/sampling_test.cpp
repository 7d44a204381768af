// What is left of log probabilities by hand, what is drawn of them, and what penalties do.
#include "mlxnx/llm/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxc/host_kernels.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"

namespace mlxnx::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;

constexpr double kInf = std::numeric_limits<double>::infinity();

const Tensor kKey = random::key(7);

// Exact in binary, so that sums of shares meet bounds exactly.
const Tensor kShares = tensor({{0.125, 0.5, 0.0625, 0.25, 0.0625}});
Tensor row() { return log(kShares); }

// The tokens of the first row that are left.
std::vector<std::int64_t> left(const Tensor& logprobs) {
  const std::vector<double> first = as_type(logprobs, DType::f64).to_vector<double>();
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < logprobs.shape().back(); ++i) {
    if (first[static_cast<std::size_t>(i)] != -kInf) tokens.push_back(i);
  }
  return tokens;
}

std::vector<double> elements(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}

Tensor noise(const Shape& shape, DType type = DType::f32, std::uint64_t seed = 1) {
  return as_type(random::normal(random::key(seed), shape, {.scale = 3.0}), type);
}

TEST(TopP, KeepsWhatComesBeforeTheShareIsReached) {
  EXPECT_THAT(left(apply_top_p(row(), 0.5)), ElementsAre(1));
  EXPECT_THAT(left(apply_top_p(row(), 0.51)), ElementsAre(1, 3));
  EXPECT_THAT(left(apply_top_p(row(), 0.8)), ElementsAre(0, 1, 3));
  EXPECT_THAT(left(apply_top_p(row(), 1e-9)), ElementsAre(1));
  EXPECT_EQ(elements(apply_top_p(row(), 1)), elements(row()));
  // Shares are those of the row, whatever it adds up to.
  EXPECT_THAT(left(apply_top_p(row() + 3.0, 0.51)), ElementsAre(1, 3));
}

TEST(TopP, KeepsAllThatEqualTheLast) {
  EXPECT_THAT(left(apply_top_p(row(), 0.9)), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(left(apply_top_p(log(tensor({{0.25, 0.25, 0.25, 0.25}})), 0.1)),
              ElementsAre(0, 1, 2, 3));
}

TEST(MinP, KeepsWhatIsProbableBesideTheBest) {
  EXPECT_THAT(left(apply_min_p(row(), 0.2)), ElementsAre(0, 1, 3));
  EXPECT_THAT(left(apply_min_p(row(), 1)), ElementsAre(1));
  EXPECT_THAT(left(apply_min_p(row(), 0)), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(left(apply_min_p(row(), 1, 3)), ElementsAre(0, 1, 3));
  EXPECT_THAT(left(apply_min_p(row(), 1, 4)), ElementsAre(0, 1, 3, 4));  // the later of two equals
  EXPECT_THAT(left(apply_min_p(row(), 1, 5)), ElementsAre(0, 1, 2, 3, 4));
}

TEST(TopK, KeepsTheBest) {
  EXPECT_THAT(left(apply_top_k(row(), 1)), ElementsAre(1));
  EXPECT_THAT(left(apply_top_k(row(), 4)), ElementsAre(0, 1, 2, 3));  // the first of two equals
  const Tensor rows = tensor({{1.0, 2.0, 3.0}, {3.0, 2.0, 1.0}});
  EXPECT_THAT(elements(apply_top_k(rows, 2)), ElementsAre(-kInf, 2, 3, 3, 2, -kInf));
}

TEST(Xtc, LeavesTheTopChoicesOutButTheLeastOfThem) {
  EXPECT_THAT(left(apply_xtc(row(), 1, 0.1, {}, kKey)), ElementsAre(0, 2, 4));
  EXPECT_THAT(left(apply_xtc(row(), 1, 0.2, {}, kKey)), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(left(apply_xtc(row(), 1, 0.5, {}, kKey)), ElementsAre(0, 1, 2, 3, 4));
  const std::array<std::uint32_t, 1> special = {1};
  EXPECT_THAT(left(apply_xtc(row(), 1, 0.1, special, kKey)), ElementsAre(0, 1, 2, 4));
}

TEST(Xtc, HappensAsOftenAsItsProbabilityAndToAllRowsAtOnce) {
  const Tensor rows = concatenate({row(), row()});
  int often = 0;
  constexpr int kTries = 400;
  for (std::uint64_t seed = 0; seed < kTries; ++seed) {
    const Tensor kept = apply_xtc(rows, 0.25, 0.1, {}, random::key(seed));
    const auto count = static_cast<int>(left(slice(kept, {0, 0}, {1, 5})).size());
    EXPECT_EQ(left(slice(kept, {1, 0}, {1, 5})).size(), static_cast<std::size_t>(count));
    often += count == 3 ? 1 : 0;
  }
  EXPECT_NEAR(often, kTries * 0.25, 4 * std::sqrt(kTries * 0.25 * 0.75));
}

// What options do together is what they do one after the other, in mlx-lm's order.
TEST(MaskedLogprobs, AreThoseOfTheFunctionsInOrder) {
  for (const DType type : {DType::f32, DType::bf16, DType::f64}) {
    for (const std::int64_t vocabulary : {50, 6000}) {
      const Tensor rows = logprobs(noise({3, vocabulary}, type));
      const SamplerOptions options{
          .top_p = 0.8, .min_p = 0.02, .min_tokens_to_keep = 5, .top_k = 9};
      Tensor wanted = apply_min_p(apply_top_p(rows, 0.8), 0.02, 5);
      EXPECT_EQ(elements(masked_logprobs(rows, options, kKey)), elements(apply_top_k(wanted, 9)));
      SamplerOptions with_xtc = options;
      with_xtc.xtc_probability = 1;
      with_xtc.xtc_threshold = 0.05;
      wanted = apply_xtc(wanted, 1, 0.05, {}, kKey);
      EXPECT_EQ(elements(masked_logprobs(rows, with_xtc, kKey)), elements(apply_top_k(wanted, 9)));
      EXPECT_EQ(masked_logprobs(rows, options, kKey).type(), rows.type());
    }
  }
}

TEST(MaskedLogprobs, KeepAsManyAsMinPHasToLeave) {
  const Tensor rows = logprobs(noise({3, 50}));
  for (const std::int64_t least : {1, 5, 12}) {
    const SamplerOptions options{.min_p = 0.99, .min_tokens_to_keep = least, .top_k = 9};
    EXPECT_EQ(elements(masked_logprobs(rows, options, kKey)),
              elements(apply_top_k(apply_min_p(rows, 0.99, least), 9)));
    EXPECT_EQ(left(masked_logprobs(rows, options, kKey)).size(),
              static_cast<std::size_t>(std::min<std::int64_t>(least, 9)));
  }
}

TEST(MaskedLogprobs, AreThoseThatCameWithoutOptions) {
  EXPECT_EQ(elements(masked_logprobs(row(), {}, kKey)), elements(row()));
  EXPECT_EQ(
      elements(masked_logprobs(row(), {.top_p = 1, .top_k = -1, .xtc_probability = -1}, kKey)),
      elements(row()));
}

TEST(Sample, TakesTheMostProbableTokenWithoutATemperature) {
  const Tensor rows = tensor({{1.0, 3.0, 3.0}, {5.0, 2.0, 1.0}});
  EXPECT_THAT(sample(rows, {}, kKey).to_vector<std::uint32_t>(), ElementsAre(1, 0));
  // Nobody looks at other options then.
  EXPECT_THAT(sample(rows, {.min_p = 7, .top_k = 99}, kKey).to_vector<std::uint32_t>(),
              ElementsAre(1, 0));
}

TEST(Sample, AnswersATokenForEachRow) {
  const SamplerOptions options{.temp = 1, .top_k = 2};
  for (const Shape& shape : {Shape{4}, Shape{1, 4}, Shape{3, 4}, Shape{1, 1, 4}, Shape{2, 3, 4}}) {
    Shape wanted = shape;
    wanted.pop_back();
    EXPECT_EQ(sample(noise(shape), options, kKey).type(), (TensorType{DType::u32, wanted}));
    EXPECT_EQ(sample(noise(shape), {}, kKey).type(), (TensorType{DType::u32, wanted}));
    EXPECT_EQ(masked_logprobs(noise(shape), options, kKey).shape(), shape);
  }
}

TEST(Sample, DrawsWhatCategoricalDraws) {
  for (const std::int64_t rows : {1, 2}) {
    const Tensor x = logprobs(noise({rows, 700}));
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      const Tensor key = random::key(seed);
      for (const SamplerOptions& options :
           {SamplerOptions{.temp = 0.7}, SamplerOptions{.temp = 1.3, .top_k = 30},
            SamplerOptions{.temp = 2, .top_p = 0.9}}) {
        const Tensor kept = masked_logprobs(x, options, key) * (1 / options.temp);
        EXPECT_EQ(sample(x, options, key).to_vector<std::uint32_t>(),
                  random::categorical(key, kept).to_vector<std::uint32_t>());
      }
    }
  }
}

TEST(Sample, DrawsAsOftenAsProbabilitiesSay) {
  constexpr int kDraws = 4000;
  std::array<int, 5> counts{};
  for (std::uint64_t seed = 0; seed < kDraws; ++seed)
    ++counts.at(sample(row() * 2.0, {.temp = 2}, random::key(seed)).item<std::size_t>());
  const std::vector<double> shares = elements(kShares);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    EXPECT_NEAR(counts.at(i), kDraws * shares[i],
                4 * std::sqrt(kDraws * shares[i] * (1 - shares[i])));
  }
}

// A running sum of rounded shares ends before or behind the sum of all.
TEST(Sample, NeverDrawsWhatIsLeftOut) {
  constexpr std::int64_t kVocabulary = 4000, kLeft = 3001;
  const Tensor x = select(less(iota({1, kVocabulary}, {.axis = 1}), kLeft),
                          logprobs(noise({1, kVocabulary})), -kInf);
  const Tensor gaps = select(equal(iota({1, kVocabulary}, {.axis = 1}) % 2, 1), x, -kInf);
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    EXPECT_LT(sample(x, {.temp = 1}, random::key(seed)).item<std::int64_t>(), kLeft);
    EXPECT_EQ(sample(gaps, {.temp = 1}, random::key(seed)).item<std::int64_t>() % 2, 1);
  }
}

// Keys whose numbers meet the bounds between tokens.
TEST(Sample, AtABoundDrawsTheTokenBehindIt) {
  const Tensor nearly_zero = random::key(840'304'356), half = random::key(13'004'434);
  ASSERT_LT(random::uniform(nearly_zero, {1, 1}).item<double>(), std::ldexp(1.0, -30));
  ASSERT_EQ(random::uniform(half, {1, 1}).item<double>(), 0.5);
  const SamplerOptions options{.temp = 1};
  EXPECT_EQ(sample(tensor({{-kInf, 0.0}}), options, nearly_zero).item<int>(), 1);
  EXPECT_EQ(sample(tensor({{0.0, -kInf, 0.0}}), options, half).item<int>(), 2);
}

// The largest number of all, and sums that are rounded: the running sum of many may end below it.
TEST(Sample, DrawsTheLastOfWhatIsLeftAtMost) {
  constexpr std::int64_t kVocabulary = 4000, kLeft = 3000;
  const Tensor key = random::key(43'287'483);
  ASSERT_EQ(random::uniform(key, {1, 1}).item<double>(), 1 - std::ldexp(1.0, -24));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Tensor x = select(less(iota({1, kVocabulary}, {.axis = 1}), kLeft),
                            logprobs(noise({1, kVocabulary}, DType::f32, seed)), -kInf);
    EXPECT_LT(sample(x, {.temp = 1}, key).item<std::int64_t>(), kLeft) << seed;
  }
}

// Whether xtc acts says nothing of the token.
TEST(Sample, SplitsTheKeyForXtc) {
  const Tensor x = logprobs(noise({2, 60}));
  const SamplerOptions options{.temp = 1, .xtc_probability = 0.5, .xtc_threshold = 0.05};
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto [of_token, of_xtc] = random::split(random::key(seed));
    EXPECT_EQ(sample(x, options, random::key(seed)).to_vector<std::uint32_t>(),
              random::categorical(of_token, masked_logprobs(x, options, of_xtc))
                  .to_vector<std::uint32_t>());
  }
}

TEST(Sample, OfNumbersThatAreNoneIsSomeToken) {
  const Tensor nothing = constant(std::nan(""), DType::f32, {1, 9});
  const Tensor all_out = constant(-kInf, DType::f32, {1, 9});
  for (const SamplerOptions& options :
       {SamplerOptions{}, SamplerOptions{.temp = 1}, SamplerOptions{.temp = 1, .top_p = 0.5},
        SamplerOptions{.temp = 1, .min_p = 0.5, .top_k = 3}}) {
    EXPECT_LT(sample(nothing, options, kKey).item<std::int64_t>(), 9);
    EXPECT_LT(sample(all_out, options, kKey).item<std::int64_t>(), 9);
  }
}

// Nothing is read: all of it can be traced.
TEST(Sample, CanBeAProgram) {
  const SamplerOptions options{
      .temp = 0.8, .top_p = 0.9, .min_p = 0.01, .top_k = 20, .xtc_probability = 0.5};
  const auto step = [&](const Tensor& logits, const Tensor& history, const Tensor& key) {
    const Tensor processed =
        process_logits(logits, history, {.logit_bias = {{2, 1.0}}, .repetition_penalty = 1.2});
    return sample(logprobs(processed), options, key);
  };
  const auto program = jit(step);
  const Tensor logits = noise({2, 100}), history = tensor({1, 5, 2});
  EXPECT_EQ(program(logits, history, kKey).to_vector<std::uint32_t>(),
            step(logits, history, kKey).to_vector<std::uint32_t>());
}

TEST(Sampling, RefusesOptionsAndSaysWhatIsAllowed) {
  const auto refusal = [](const SamplerOptions& options) {
    return error_of<ArgumentError>([&] { sample(row(), options, kKey); });
  };
  EXPECT_EQ(refusal({.temp = -1}), "[sample] temp has to be a number of at least 0, got -1");
  EXPECT_THAT(refusal({.temp = kInf}), HasSubstr("got inf"));
  EXPECT_THAT(refusal({.temp = std::nan("")}), HasSubstr("got nan"));
  EXPECT_EQ(refusal({.temp = 1, .top_k = 5}),
            "[apply_top_k] top_k has to be above 0 and below 5, the vocabulary, got 5");
  EXPECT_EQ(refusal({.temp = 1, .min_p = 1.5}),
            "[apply_min_p] min_p has to be from 0 to 1, got 1.5");
  EXPECT_THAT(refusal({.temp = 1, .min_p = -0.1}), HasSubstr("got -0.1"));
  EXPECT_EQ(refusal({.temp = 1, .min_p = 0.1, .min_tokens_to_keep = 0}),
            "[apply_min_p] min_tokens_to_keep has to be from 1 to 5, the vocabulary, got 0");
  EXPECT_THAT(refusal({.temp = 1, .min_p = 0.1, .min_tokens_to_keep = 6, .top_k = 2}),
              HasSubstr("got 6"));
  EXPECT_EQ(refusal({.temp = 1, .xtc_probability = 0.5, .xtc_threshold = 0.7}),
            "[apply_xtc] xtc_threshold has to be from 0 to 0.5, got 0.7");
  EXPECT_EQ(refusal({.temp = 1, .xtc_probability = 1.5}),
            "[apply_xtc] xtc_probability has to be from 0 to 1, got 1.5");
  EXPECT_THAT(refusal({.temp = 1, .xtc_probability = 1, .xtc_special_tokens = {5}}),
              HasSubstr("there is no token 5 in a vocabulary of 5"));
  EXPECT_THAT(error_of<ArgumentError>([] { apply_top_p(row(), 0); }), HasSubstr("got 0"));
  EXPECT_THAT(error_of<ArgumentError>([] { apply_top_p(row(), 1.1); }), HasSubstr("at most 1"));
  EXPECT_THAT(error_of<ArgumentError>([] { apply_top_k(row(), 0); }), HasSubstr("got 0"));
  EXPECT_THROW(sample(tensor({{1, 2}}), {}, kKey), TypeError);
  EXPECT_THROW(sample(tensor(1.0), {}, kKey), ShapeError);
  EXPECT_THROW(sample(constant(0.0, DType::f32, {2, 0}), {}, kKey), ShapeError);
}

TEST(Logprobs, AddUpToOne) {
  const Tensor rows = logprobs(noise({2, 9}) + 50.0);
  for (const double total : elements(sum(exp(rows), {.axes = Axes{1}})))
    EXPECT_NEAR(total, 1, 1e-5);
  EXPECT_EQ(logprobs(noise({2, 9}, DType::bf16)).dtype(), DType::bf16);
}

const Tensor kLogits = tensor({{2.0, -2.0, 4.0, 1.0}});

TEST(ProcessLogits, AddsBiases) {
  EXPECT_THAT(elements(process_logits(kLogits, tensor({0}), {.logit_bias = {{1, 1.5}, {3, -1.0}}})),
              ElementsAre(2, -0.5, 4, 0));
}

TEST(ProcessLogits, PenalisesRepetitionTowardsLess) {
  EXPECT_THAT(elements(process_logits(kLogits, tensor({0, 1, 0}), {.repetition_penalty = 2})),
              ElementsAre(1, -4, 4, 1));
}

TEST(ProcessLogits, PenalisesPresenceOnceAndFrequencyEachTime) {
  const Tensor history = tensor({0, 2, 0});
  EXPECT_THAT(elements(process_logits(kLogits, history, {.presence_penalty = 0.5})),
              ElementsAre(1.5, -2, 3.5, 1));
  EXPECT_THAT(elements(process_logits(kLogits, history, {.frequency_penalty = 0.5})),
              ElementsAre(1, -2, 3.5, 1));
  EXPECT_THAT(elements(process_logits(kLogits, history, {.presence_penalty = -0.5})),
              ElementsAre(2.5, -2, 4.5, 1));
}

TEST(ProcessLogits, GoesInOrder) {
  EXPECT_THAT(elements(process_logits(kLogits, tensor({1, 1}),
                                      {.logit_bias = {{1, 4.0}},
                                       .repetition_penalty = 2,
                                       .presence_penalty = 0.25,
                                       .frequency_penalty = 0.125})),
              ElementsAre(2, (-2 + 4) / 2.0 - 0.25 - 0.25, 4, 1));
}

TEST(ProcessLogits, LooksAtTheLastTokensOnly) {
  const Tensor history = tensor({0, 1, 2});
  EXPECT_THAT(elements(process_logits(kLogits, history,
                                      {.presence_penalty = 1, .presence_context_size = 2})),
              ElementsAre(2, -3, 3, 1));
  EXPECT_THAT(elements(process_logits(kLogits, history,
                                      {.frequency_penalty = 1, .frequency_context_size = 0})),
              ElementsAre(1, -3, 3, 1));
  EXPECT_THAT(elements(process_logits(kLogits, history,
                                      {.repetition_penalty = 2, .repetition_context_size = 1})),
              ElementsAre(2, -2, 2, 1));
  std::vector<std::int32_t> many(30, 3);
  many.front() = 0;
  const Tensor long_history = Tensor::from_span(std::span<const std::int32_t>(many), {30});
  EXPECT_THAT(elements(process_logits(kLogits, long_history, {.presence_penalty = 1})),
              ElementsAre(2, -2, 4, 0));
}

TEST(ProcessLogits, TakesAHistoryForEachRow) {
  const Tensor rows = concatenate({kLogits, kLogits});
  EXPECT_THAT(elements(process_logits(rows, tensor({{0, 0}, {2, 3}}), {.frequency_penalty = 1})),
              ElementsAre(0, -2, 4, 1, 2, -2, 3, 0));
  EXPECT_THAT(elements(process_logits(rows, tensor({0, 1}),
                                      {.logit_bias = {{3, 1.0}}, .repetition_penalty = 2})),
              ElementsAre(1, -4, 4, 2, 1, -4, 4, 2));
}

TEST(ProcessLogits, ChangesNothingWithoutAHistoryOrPenalties) {
  const Tensor none = constant(std::int64_t{0}, DType::u32, {0});
  EXPECT_EQ(elements(process_logits(kLogits, none, {.repetition_penalty = 2})), elements(kLogits));
  EXPECT_EQ(elements(process_logits(kLogits, none, {.logit_bias = {{0, 1.0}}}))[0], 3);
  EXPECT_EQ(elements(process_logits(kLogits, tensor({0}), {})), elements(kLogits));
}

TEST(ProcessLogits, KeepsTheType) {
  const ProcessorOptions options{.logit_bias = {{0, 0.3}},
                                 .repetition_penalty = 1.1,
                                 .presence_penalty = 0.3,
                                 .frequency_penalty = 0.3};
  for (const DType type : {DType::bf16, DType::f16, DType::f32, DType::f64})
    EXPECT_EQ(process_logits(as_type(kLogits, type), tensor({0}), options).dtype(), type);
}

TEST(ProcessLogits, RefusesWhatItCanNotUse) {
  const Tensor history = tensor({0});
  EXPECT_EQ(error_of<ArgumentError>(
                [&] { process_logits(kLogits, history, {.repetition_penalty = -1}); }),
            "[process_logits] repetition_penalty has to be at least 0, got -1");
  EXPECT_THAT(error_of<ArgumentError>(
                  [&] { process_logits(kLogits, history, {.presence_context_size = -3}); }),
              HasSubstr("a context size has to be at least 0, got -3"));
  EXPECT_EQ(error_of<ArgumentError>([&] {
              process_logits(kLogits, history, {.logit_bias = {{4, 1.0}}});
            }),
            "[process_logits] there is no token 4 in a vocabulary of 4");
  // A row that is computed already and small is known.
  if (mlxc::AtOnceScope::is_allowed()) {
    EXPECT_THROW(process_logits(kLogits, tensor({4}), {.presence_penalty = 1}), ArgumentError);
  }
  EXPECT_THROW(process_logits(kLogits, tensor({0.0}), {}), TypeError);
  EXPECT_THROW(process_logits(kLogits, tensor({{0}, {0}}), {}), ShapeError);
  EXPECT_THROW(process_logits(kLogits, tensor(0), {}), ShapeError);
  EXPECT_THROW(process_logits(tensor({1.0}), history, {}), ShapeError);
}

TEST(MaskLogits, LeavesWhatIsAllowed) {
  EXPECT_THAT(elements(mask_logits(kLogits, std::array{TokenMask{{0b0101}}})),
              ElementsAre(2, -kInf, 4, -kInf));
  EXPECT_THAT(elements(mask_logits(concatenate({kLogits, kLogits}),
                                   std::array{TokenMask{{0b0001}}, TokenMask{{0b1000}}})),
              ElementsAre(2, -kInf, -kInf, -kInf, -kInf, -kInf, -kInf, 1));
  const Tensor wide = constant(1.0, DType::bf16, {2, 70});
  const Tensor masked = mask_logits(wide, std::array{TokenMask{{1, 1U << 31}}});
  EXPECT_EQ(masked.type(), wide.type());
  EXPECT_THAT(left(masked), ElementsAre(0, 63));
}

TEST(MaskLogits, RefusesAnotherNumberOfMasks) {
  EXPECT_EQ(error_of<ShapeError>([] {
              mask_logits(concatenate({kLogits, kLogits}), std::array<TokenMask, 3>{});
            }),
            "[mask_logits] logits f32[2][4] take 1 mask or 2, got 3");
  EXPECT_THROW(mask_logits(tensor({1.0}), std::array{TokenMask{}}), ShapeError);
}

}  // namespace
}  // namespace mlxnx::llm
