#include "mlxnx/ops/reduction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "error_of.h"
#include "mlxnx/jit.h"
#include "mlxnx/literal.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "ops/numbers.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::NanSensitiveDoubleEq;
using testing::Pointwise;
using testing_support::elements;
using testing_support::error_of;
using testing_support::mask;
using testing_support::numbers;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr std::array kRealTypes = {DType::u8,  DType::u16,  DType::u32, DType::u64,
                                   DType::s8,  DType::s16,  DType::s32, DType::s64,
                                   DType::f16, DType::bf16, DType::f32, DType::f64};
constexpr std::array kFloats = {DType::f16, DType::bf16, DType::f32, DType::f64};

struct Case {
  const char* what;
  Tensor result;
  TensorType type;
  std::vector<double> expected;
};

void expect_all(std::span<const Case> cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(c.result.type(), c.type) << c.what;
    EXPECT_THAT(elements(c.result), Pointwise(NanSensitiveDoubleEq(), c.expected)) << c.what;
  }
}

TEST(Reduction, FollowsAxesAndKeepsThemWhenAsked) {
  const Tensor t = tensor({{{1, 2, 3}, {4, 5, 6}}, {{7, 8, 9}, {0, 0, 1}}});
  const Case cases[] = {
      {"all axes", sum(t), {DType::s32, {}}, {46}},
      {"one axis", sum(t, {.axes = Axes{1}}), {DType::s32, {2, 3}}, {5, 7, 9, 7, 8, 10}},
      {"a negative axis", sum(t, {.axes = Axes{-1}}), {DType::s32, {2, 2}}, {6, 15, 24, 1}},
      {"unsorted axes", sum(t, {.axes = Axes{2, 0}}), {DType::s32, {2}}, {30, 16}},
      {"kept axes",
       sum(t, {.axes = Axes{0, 2}, .keep_axes = true}),
       {DType::s32, {1, 2, 1}},
       {30, 16}},
      {"all axes, kept", product(t, {.keep_axes = true}), {DType::s32, {1, 1, 1}}, {0}},
      {"product", product(t, {.axes = Axes{2}}), {DType::s32, {2, 2}}, {6, 120, 504, 0}},
      {"largest", reduce_max(t, {.axes = Axes{0}}), {DType::s32, {2, 3}}, {7, 8, 9, 4, 5, 6}},
      {"smallest", reduce_min(t, {.axes = Axes{0, 1}}), {DType::s32, {3}}, {0, 0, 1}},
      {"all true", all(t, {.axes = Axes{2}}), {DType::u8, {2, 2}}, {1, 1, 1, 0}},
      {"any true", any(t, {.axes = Axes{1, 2}}), {DType::u8, {2}}, {1, 1}},
      {"no axes", sum(t, {.axes = Axes{}}), {DType::s32, {2, 2, 3}}, elements(t)},
      {"no axes, as truth", all(tensor({0, 3}), {.axes = Axes{}}), {DType::u8, {2}}, {0, 1}},
      {"a scalar", sum(tensor(5)), {DType::s32, {}}, {5}},
      {"a scalar's truth", any(tensor(2.5)), {DType::u8, {}}, {1}},
  };
  expect_all(cases);
}

TEST(Reduction, AnswersInNxTypesForEveryType) {
  for (const DType type : kRealTypes) {
    const Tensor t = numbers(type, {2, 2}, {3, 0, 5, 2});
    const DType wide = ops::infer_types(ops::op("sum"), std::array{t.type()})[0].dtype;
    const Case cases[] = {
        {"sum", sum(t, {.axes = Axes{0}}), {wide, {2}}, {8, 2}},
        {"product", product(t, {.axes = Axes{1}}), {wide, {2}}, {0, 10}},
        {"reduce_max", reduce_max(t), {type, {}}, {5}},
        {"reduce_min", reduce_min(t, {.axes = Axes{1}}), {type, {2}}, {0, 2}},
        {"all", all(t, {.axes = Axes{1}}), {DType::u8, {2}}, {0, 1}},
        {"any", any(t, {.axes = Axes{0}}), {DType::u8, {2}}, {1, 1}},
        {"argmax", argmax(t, {.axis = 1}), {DType::s32, {2}}, {0, 0}},
        {"argmin", argmin(t), {DType::s32, {}}, {1}},
    };
    expect_all(cases);
  }
  EXPECT_EQ(sum(tensor({1}, DType::u16)).dtype(), DType::u32);
  EXPECT_EQ(sum(tensor({1}, DType::u64)).dtype(), DType::s64);
  EXPECT_EQ(product(tensor({1}, DType::s8)).dtype(), DType::s32);
  EXPECT_EQ(sum(tensor({1}, DType::bf16)).dtype(), DType::bf16);
}

TEST(Reduction, WrapsIntegersInTheirWideTypes) {
  const auto high = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(sum(tensor({200, 100}, DType::u8)).item<int>(), 300);
  EXPECT_EQ(sum(tensor({4294967295u, 2u}, DType::u32)).item<std::uint32_t>(), 1u);
  EXPECT_EQ(sum(tensor({high, std::int64_t{1}}, DType::s64)).item<std::int64_t>(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(sum(tensor({~std::uint64_t{0}}, DType::u64)).item<std::int64_t>(), -1);
  EXPECT_EQ(product(tensor({65536, 65536}, DType::s32)).item<int>(), 0);
}

TEST(Reduction, KeepsTheExtremesOf64BitIntegers) {
  const auto low = std::numeric_limits<std::int64_t>::min();
  const Tensor s = tensor({low, low + 1, std::int64_t{-1}}, DType::s64);
  EXPECT_EQ(reduce_max(s).item<std::int64_t>(), -1);
  EXPECT_EQ(reduce_min(s).item<std::int64_t>(), low);
  const Tensor u = tensor({~std::uint64_t{0}, ~std::uint64_t{0} - 1}, DType::u64);
  EXPECT_EQ(reduce_max(u).item<std::uint64_t>(), ~std::uint64_t{0});
  EXPECT_EQ(reduce_min(u).item<std::uint64_t>(), ~std::uint64_t{0} - 1);
  EXPECT_EQ(argmin(u).item<int>(), 1);
}

TEST(Reduction, TakesNanAndInfinitiesAsNxDoes) {
  for (const DType type : kFloats) {
    const Tensor t = numbers(type, {3, 3}, {1, kNaN, 3, kInfinity, -kInfinity, 0, 2, -0.0, 1});
    const Axes rows = {1};
    const Case cases[] = {
        {"largest", reduce_max(t, {.axes = rows}), {type, {3}}, {kNaN, kInfinity, 2}},
        {"smallest", reduce_min(t, {.axes = rows}), {type, {3}}, {kNaN, -kInfinity, 0}},
        {"sum", sum(t, {.axes = rows}), {type, {3}}, {kNaN, kNaN, 3}},
        {"all", all(t, {.axes = rows}), {DType::u8, {3}}, {1, 0, 0}},
        {"any", any(numbers(type, {2}, {0.0, -0.0})), {DType::u8, {}}, {0}},
        {"any NaN", any(numbers(type, {2}, {0.0, kNaN})), {DType::u8, {}}, {1}},
    };
    expect_all(cases);
  }
}

TEST(Reduction, AddsAndMultipliesComplexNumbers) {
  using C = std::complex<double>;
  const Tensor t = tensor({{C(1, 2), C(3, -1)}, {C(0, 1), C(2, 0)}});
  EXPECT_THAT(sum(t, {.axes = Axes{0}}).to_vector<std::complex<float>>(),
              ElementsAre(std::complex<float>(1, 3), std::complex<float>(5, -1)));
  EXPECT_THAT(product(t, {.axes = Axes{1}}).to_vector<std::complex<float>>(),
              ElementsAre(std::complex<float>(5, 5), std::complex<float>(0, 2)));
  EXPECT_THAT(elements(all(tensor({{C(0, 1), C(1, 0)}, {C(0, 0), C(1, 0)}}), {.axes = Axes{1}})),
              ElementsAre(1, 0));
  const auto lost = product(tensor({C(kInfinity, 3), C(-2, 4)})).item<C>();
  EXPECT_TRUE(std::isnan(lost.real()) && std::isnan(lost.imag()));
}

TEST(Reduction, TakesMlxMasksForBytes) {
  const Tensor m = mask({1, 0, 1});
  const Case cases[] = {
      {"sum", sum(m), {DType::u32, {}}, {2}},
      {"product", product(m), {DType::u32, {}}, {0}},
      {"largest", reduce_max(m), {DType::u8, {}}, {1}},
      {"argmin", argmin(m), {DType::s32, {}}, {1}},
      {"all", all(m), {DType::u8, {}}, {0}},
      {"cumulative_sum", cumulative_sum(m), {DType::u8, {3}}, {1, 1, 2}},
  };
  expect_all(cases);
}

TEST(Reduction, OfNoElementsIsNeutralOrAnError) {
  const Tensor t = numbers(DType::f32, {0, 2}, {});
  const Case cases[] = {
      {"sum", sum(t, {.axes = Axes{0}}), {DType::f32, {2}}, {0, 0}},
      {"product", product(t), {DType::f32, {}}, {1}},
      {"all", all(t, {.axes = Axes{0}}), {DType::u8, {2}}, {1, 1}},
      {"any", any(t), {DType::u8, {}}, {0}},
      {"no results", sum(t, {.axes = Axes{1}}), {DType::f32, {0}}, {}},
      {"no extremes", reduce_max(t, {.axes = Axes{1}}), {DType::f32, {0}}, {}},
      {"no positions", argmax(t, {.axis = 1, .keep_axis = true}), {DType::s32, {0, 1}}, {}},
      {"cumulative", cumulative_max(t), {DType::f32, {0, 2}}, {}},
  };
  expect_all(cases);
  EXPECT_EQ(error_of<ShapeError>([&] { reduce_max(t, {.axes = Axes{0}}); }),
            "[reduce_max] there is no extreme among no elements: shape {0, 2} along axes {0}");
  EXPECT_THAT(error_of<ShapeError>([&] { argmin(t); }), HasSubstr("[argmin] there is no extreme"));
}

TEST(Reduction, SaysWhatIsWrong) {
  const Tensor t = tensor({{1, 2}});
  EXPECT_EQ(error_of<ShapeError>([&] { sum(t, {.axes = Axes{2}}); }),
            "[sum] axis 2 is out of bounds for shape {1, 2}");
  EXPECT_THAT(error_of<ShapeError>([&] {
                all(t, {.axes = Axes{0, -2}});
              }),
              HasSubstr("given twice"));
  EXPECT_EQ(error_of<TypeError>([] { reduce_max(tensor({std::complex<double>(1, 2)})); }),
            "[reduce_max] complex numbers have no order; got c64[1]");
  EXPECT_THAT(error_of<ShapeError>([&] { argmax(t, {.axis = -3}); }),
              HasSubstr("[argmax] axis -3 is out of bounds"));
  EXPECT_EQ(error_of<ArgumentError>([&] {
              ops::invoke(ops::op("argmax"), {t}, {{"tie_break", std::string("first")}});
            }),
            "[argmax] tie_break is \"low\" or \"high\", got \"first\"");
}

// Naive references.

std::vector<double> random_values(std::size_t count, unsigned seed, double low, double high) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<double> values(count);
  for (double& value : values) value = uniform(generator);
  return values;
}

struct LargeCase {
  Shape shape;
  Axes axes;
};

// Shapes that take every path of a reduction in stages, with axes that do and do not divide evenly.
const LargeCase kLargeCases[] = {
    {{300000}, {0}},         {{262144}, {0}},        {{9000}, {0}},           {{8, 40000}, {1}},
    {{100000, 3}, {0}},      {{100000, 3}, {0, 1}},  {{3, 50000, 2}, {1, 2}}, {{500, 700}, {0, 1}},
    {{60000, 2, 3}, {0, 2}}, {{40, 60, 70}, {0, 2}}, {{40, 60, 70}, {0, 1}},  {{200000, 1}, {0, 1}},
    {{7, 5003, 3}, {1}},     {{33000, 2}, {1}},
};

std::vector<double> fold_naively(const std::vector<double>& values, const LargeCase& c,
                                 double start, const std::function<double(double, double)>& step) {
  const auto reduced = [&](std::size_t axis) {
    return std::find(c.axes.begin(), c.axes.end(), static_cast<std::int64_t>(axis)) != c.axes.end();
  };
  std::size_t count = 1;
  for (std::size_t axis = 0; axis < c.shape.size(); ++axis)
    if (!reduced(axis)) count *= static_cast<std::size_t>(c.shape[axis]);
  std::vector<double> result(count, start);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::size_t rest = i, to = 0, stride = 1;
    for (std::size_t axis = c.shape.size(); axis-- > 0;) {
      const auto size = static_cast<std::size_t>(c.shape[axis]);
      if (!reduced(axis)) {
        to += rest % size * stride;
        stride *= size;
      }
      rest /= size;
    }
    result[to] = step(result[to], values[i]);
  }
  return result;
}

TEST(LargeReduction, SumsWithinTheRoundingOfFewSteps) {
  for (const LargeCase& c : kLargeCases) {
    const auto values = random_values(static_cast<std::size_t>(element_count(c.shape)), 3, 0, 1);
    const Tensor t = numbers(DType::f32, c.shape, values);
    const auto expected = fold_naively(elements(t), c, 0, std::plus<>());
    const auto result = elements(sum(t, {.axes = c.axes}));
    ASSERT_EQ(result.size(), expected.size()) << to_string(c.shape);
    for (std::size_t i = 0; i < result.size(); ++i)
      EXPECT_NEAR(result[i], expected[i], 2e-6 * expected[i]) << to_string(c.shape) << " at " << i;
  }
}

TEST(LargeReduction, OfTenMillionEqualNumbersStaysPrecise) {
  const std::int64_t count = 10'000'019;
  const Tensor t = as_type(tensor({0.1}), DType::f32);
  const Tensor many =
      ops::invoke(ops::op("broadcast"), {t}, {{"shape", Axes{count}}, {"axes", Axes{0}}});
  const double exact = static_cast<double>(count) * static_cast<double>(0.1f);
  EXPECT_NEAR(sum(many).item<double>(), exact, 5e-5 * exact);
  EXPECT_NEAR(sum(reshape(many, {count, 1}), {.axes = Axes{0}}).item<double>(), exact,
              5e-5 * exact);
}

TEST(LargeReduction, FindsExtremesAndTruthWhereverTheyAre) {
  for (const LargeCase& c : kLargeCases) {
    auto values = random_values(static_cast<std::size_t>(element_count(c.shape)), 4, -1, 1);
    const Tensor t = numbers(DType::f32, c.shape, values);
    const ReductionOptions options = {.axes = c.axes};
    const auto exact = elements(t);
    const auto largest =
        fold_naively(exact, c, -kInfinity, [](double a, double b) { return std::max(a, b); });
    const auto smallest =
        fold_naively(exact, c, kInfinity, [](double a, double b) { return std::min(a, b); });
    EXPECT_EQ(elements(reduce_max(t, options)), largest) << to_string(c.shape);
    EXPECT_EQ(elements(reduce_min(t, options)), smallest) << to_string(c.shape);
    values.back() = kNaN;
    const auto with_nan = elements(reduce_max(numbers(DType::f32, c.shape, values), options));
    EXPECT_TRUE(std::isnan(with_nan.back())) << to_string(c.shape);
    EXPECT_THAT(elements(all(t, options)), Each(1)) << to_string(c.shape);
  }
}

TEST(LargeReduction, OfIntegersAndHalfFloatsIsExact) {
  for (const LargeCase& c : kLargeCases) {
    std::vector<double> values(static_cast<std::size_t>(element_count(c.shape)));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 97);
    const auto expected = fold_naively(values, c, 0, std::plus<>());
    for (const DType type : {DType::u8, DType::s16, DType::s64}) {
      EXPECT_EQ(elements(sum(numbers(type, c.shape, values), {.axes = c.axes})), expected)
          << to_string(c.shape);
    }
  }
  const std::vector<double> ones(30000, 1.0);
  EXPECT_EQ(elements(sum(numbers(DType::f16, {30000}, ones))), std::vector<double>{30000});
  EXPECT_EQ(elements(sum(numbers(DType::bf16, {32768}, std::vector<double>(32768, 1.0)))),
            std::vector<double>{32768});
}

// Positions.

TEST(ArgExtreme, BreaksTiesAndKeepsTheAxisAsAsked) {
  const Tensor t = tensor({{4, 2, 4}, {1, 1, 3}});
  const Case cases[] = {
      {"first of equals", argmax(t, {.axis = 1}), {DType::s32, {2}}, {0, 2}},
      {"last of equals",
       argmax(t, {.axis = 1, .tie_break = TieBreak::kHigh}),
       {DType::s32, {2}},
       {2, 2}},
      {"smallest",
       argmin(t, {.axis = -1, .tie_break = TieBreak::kHigh}),
       {DType::s32, {2}},
       {1, 1}},
      {"flat", argmax(t), {DType::s32, {}}, {0}},
      {"flat, last", argmax(t, {.tie_break = TieBreak::kHigh}), {DType::s32, {}}, {2}},
      {"kept axis", argmin(t, {.axis = 0, .keep_axis = true}), {DType::s32, {1, 3}}, {1, 1, 1}},
      {"kept axis without an axis", argmin(t, {.keep_axis = true}), {DType::s32, {}}, {3}},
      {"another type", argmax(t, {.axis = 0, .type = DType::u8}), {DType::u8, {3}}, {0, 0, 0}},
      {"a scalar", argmax(tensor(3)), {DType::s32, {}}, {0}},
  };
  expect_all(cases);
}

// What Nx.BinaryBackend does: every NaN replaces what was found, and is never replaced by a number.
std::size_t position_naively(std::span<const double> run, bool largest, bool last) {
  std::size_t found = 0;
  for (std::size_t i = 1; i < run.size(); ++i) {
    const double best = run[found];
    const bool wins = largest ? run[i] > best : run[i] < best;
    if (std::isnan(run[i]) || wins || (last && run[i] == best)) found = i;
  }
  return found;
}

TEST(ArgExtreme, FindsThePlaceInRunsOfEveryLength) {
  for (const std::size_t length : {1u, 2u, 15u, 2047u, 2048u, 2049u, 5000u, 20480u}) {
    for (unsigned seed = 0; seed < 6; ++seed) {
      auto values = random_values(2 * length, seed, -8, 8);
      for (double& value : values) value = std::round(value);
      std::mt19937 generator(seed);
      for (unsigned i = 0; i < seed; ++i) values[generator() % values.size()] = kNaN;
      if (seed == 1) std::fill(values.begin(), values.end(), -kInfinity);
      const DType type = seed % 2 == 0 ? DType::f32 : DType::f16;
      const auto n = static_cast<std::int64_t>(length);
      const Tensor rows = numbers(type, {2, n}, values);
      for (const bool last : {false, true}) {
        for (const bool largest : {false, true}) {
          const ArgExtremeOptions options = {.axis = 1,
                                             .tie_break = last ? TieBreak::kHigh : TieBreak::kLow};
          const auto find = largest ? argmax : argmin;
          std::vector<double> expected;
          for (const std::size_t row : {std::size_t{0}, length}) {
            expected.push_back(static_cast<double>(
                position_naively(std::span(values).subspan(row, length), largest, last)));
          }
          EXPECT_EQ(elements(find(rows, options)), expected) << length << " seed " << seed;
          ArgExtremeOptions first = options;
          first.axis = 0;
          EXPECT_EQ(elements(find(transpose(rows), first)), expected) << length;
        }
      }
    }
  }
}

// Functions.

TEST(Reduce, FoldsInRowMajorOrderFromTheAccumulatorOn) {
  // acc' = 2 acc + element shows the order of elements and of arguments.
  const Reducer step = [](const Tensor& element, const Tensor& accumulator) {
    return add(add(accumulator, accumulator), element);
  };
  const Tensor t = tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}});
  const Case cases[] = {
      {"all axes", reduce(t, 0, step), {DType::s32, {}}, {502}},
      {"last axis",
       reduce(t, 10, step, {.axes = Axes{-1}}),
       {DType::s32, {2, 2}},
       {44, 50, 56, 62}},
      {"first axis", reduce(t, 1, step, {.axes = Axes{0}}), {DType::s32, {2, 2}}, {11, 14, 17, 20}},
      {"outer axes, given backwards",
       reduce(t, 0, step, {.axes = Axes{2, 0}, .keep_axes = true}),
       {DType::s32, {1, 2, 1}},
       {32, 62}},
      {"a float accumulator", reduce(tensor({1, 2}), 0.5, add), {DType::f32, {}}, {3.5}},
      {"a type", reduce(tensor({1, 2}), 0, add, {.type = DType::f64}), {DType::f64, {}}, {3}},
      {"no axes", reduce(tensor({1, 2}), 5, add, {.axes = Axes{}}), {DType::s32, {2}}, {1, 2}},
      {"no elements",
       reduce(numbers(DType::s32, {0, 2}, {}), 5, add, {.axes = Axes{0}}),
       {DType::s32, {2}},
       {5, 5}},
      {"a scalar", reduce(tensor(3), 4, add), {DType::s32, {}}, {7}},
      {"a constant function",
       reduce(tensor({{1, 2}}), 4, [](auto&, auto&) { return Tensor(9); }, {.axes = Axes{1}}),
       {DType::s32, {1}},
       {9}},
  };
  expect_all(cases);
}

TEST(Reduce, FoldsElementsThatLieInOnePlaceOrBackwards) {
  EXPECT_EQ(reduce(broadcast(Tensor(3), {4}), 0, add).item<int>(), 12);
  EXPECT_EQ(reduce(reverse(iota({4})), 0, add).item<int>(), 6);
}

TEST(Reduce, RefusesAnAttributeThatHoldsNoFunction) {
  for (const auto& function : {std::shared_ptr<const ops::Function>(),
                               std::make_shared<const ops::Function>(ops::Function())}) {
    EXPECT_EQ(error_of<ArgumentError>([&] {
                ops::invoke(ops::op("reduce"), {tensor({1}), tensor(0)}, {{"fun", function}});
              }),
              "[reduce] the attribute fun holds no function to call");
  }
}

TEST(Reduce, RefusesWrongAccumulatorsAndFunctions) {
  const Tensor t = tensor({{1, 2}});
  EXPECT_EQ(error_of<ShapeError>([&] { reduce(t, tensor({0}), add); }),
            "[reduce] the accumulator must be a scalar, got s32[1]");
  EXPECT_EQ(error_of<ShapeError>([&] {
              reduce(t, 0, [](auto&, auto&) { return tensor({1, 2, 3}); }, {.axes = Axes{0}});
            }),
            "[reduce] cannot broadcast tensor of dimensions {3} to {2}");
  EXPECT_THAT(error_of<ShapeError>([&] {
                reduce(t, 0, [](auto&, auto&) { return tensor({1, 2}); });
              }),
              HasSubstr("[reduce] the function answers {2} for elements of shape {}"));
  EXPECT_THAT(error_of<ArgumentError>([&] { reduce(t, 0, nullptr); }), HasSubstr("empty"));
  EXPECT_EQ(error_of<std::domain_error>([&] {
              reduce(t, 0, [](auto&, auto&) -> Tensor { throw std::domain_error("mine"); });
            }),
            "mine");
  EXPECT_EQ(sum(t).item<int>(), 3) << "the process goes on";
}

// Cumulative blocks.

TEST(Cumulative, RunsAlongAnAxisBothWays) {
  const Tensor t = tensor({{1, 2, 3}, {4, 5, 6}});
  const Case cases[] = {
      {"sum", cumulative_sum(t), {DType::s32, {2, 3}}, {1, 2, 3, 5, 7, 9}},
      {"last axis", cumulative_sum(t, {.axis = -1}), {DType::s32, {2, 3}}, {1, 3, 6, 4, 9, 15}},
      {"backwards",
       cumulative_sum(t, {.axis = 1, .reverse = true}),
       {DType::s32, {2, 3}},
       {6, 5, 3, 15, 11, 6}},
      {"product", cumulative_product(t, {.axis = 1}), {DType::s32, {2, 3}}, {1, 2, 6, 4, 20, 120}},
      {"min", cumulative_min(t, {.reverse = true}), {DType::s32, {2, 3}}, {1, 2, 3, 4, 5, 6}},
      {"max", cumulative_max(t, {.axis = 1}), {DType::s32, {2, 3}}, {1, 2, 3, 4, 5, 6}},
      {"wrapping", cumulative_sum(tensor({200, 100}, DType::u8)), {DType::u8, {2}}, {200, 44}},
      {"an axis of size 1",
       cumulative_product(transpose(tensor({{1, 2}})), {.axis = 1}),
       {DType::s32, {2, 1}},
       {1, 2}},
      {"NaN and min", cumulative_min(tensor({2.0, kNaN, 1.0})), {DType::f32, {3}}, {2, kNaN, kNaN}},
      {"NaN and max, backwards",
       cumulative_max(tensor({2.0, kNaN, 1.0}), {.reverse = true}),
       {DType::f32, {3}},
       {kNaN, kNaN, 1}},
      {"infinities",
       cumulative_sum(tensor({1.0, kInfinity, -kInfinity})),
       {DType::f32, {3}},
       {1, kInfinity, kNaN}},
  };
  expect_all(cases);
  EXPECT_THAT(error_of<ShapeError>([] { cumulative_sum(tensor(1)); }),
              HasSubstr("[block:CumulativeSum] axis 0 is out of bounds for shape {}"));
  EXPECT_THAT(error_of<TypeError>([] { cumulative_max(tensor({std::complex<double>(1, 2)})); }),
              HasSubstr("no order"));
}

TEST(Cumulative, TakesAnAxisOfOneElementWithAnyStride) {
  const Tensor repeated = broadcast(Tensor(3), {1, 1});
  for (const bool reverse : {false, true}) {
    EXPECT_EQ(cumulative_sum(repeated, {.reverse = reverse}).item<int>(), 3);
    EXPECT_THAT(
        elements(cumulative_product(transpose(iota({1, 3})), {.axis = 1, .reverse = reverse})),
        ElementsAre(0, 1, 2));
  }
}

TEST(Cumulative, SumsOfLongAxesStayPrecise) {
  for (const bool reverse : {false, true}) {
    for (const std::int64_t length : {8192, 10'007}) {
      const auto values = random_values(static_cast<std::size_t>(length) * 2, 5, 0, 1);
      const Tensor t = numbers(DType::f32, {length, 2}, values);
      const auto exact = elements(t);
      const auto result = elements(cumulative_sum(t, {.reverse = reverse}));
      double total[2] = {0, 0};
      for (std::int64_t i = 0; i < length; ++i) {
        for (std::size_t j = 0; j < 2; ++j) {
          const auto at = static_cast<std::size_t>(reverse ? length - 1 - i : i) * 2 + j;
          total[j] += exact[at];
          ASSERT_NEAR(result[at], total[j], 3e-6 * total[j]) << i;
        }
      }
    }
  }
}

// One after the other they leave f32 on the way, whichever come first.
TEST(Reduction, MultipliesInAnyOrder) {
  const auto of = [](double value, std::int64_t count) {
    return constant(value, DType::f32, {count});
  };
  for (const std::int64_t between : {1, 3000, 80'000}) {
    const Tensor large = of(8, 300), ones = of(1, between), small = of(0.125, 300);
    for (const Tensor& x : {concatenate({large, ones, small}), concatenate({small, ones, large})}) {
      EXPECT_EQ(product(x).item<float>(), 1.0F) << between;
      EXPECT_EQ(jit([](const Tensor& a) { return product(negate(a)); })(x).item<float>(),
                between % 2 == 0 ? 1.0F : -1.0F)
          << between;
      EXPECT_THAT(elements(product(stack({x, x, x}), {.axes = Axes{1}})), ElementsAre(1, 1, 1));
      EXPECT_THAT(elements(product(stack({x, x}, {.axis = 1}), {.axes = Axes{0}})),
                  ElementsAre(1, 1));
    }
  }
}

// So many that kernels share them, over each set of axes and in each order of memory.
TEST(Reduction, FoldsManyElementsOverAnyAxes) {
  const Shape shape{30, 40, 50};
  for (const Axes& order : {Axes{0, 1, 2}, Axes{2, 1, 0}, Axes{1, 0, 2}, Axes{2, 0, 1}}) {
    Shape stored(3, 0);
    for (std::size_t i = 0; i < 3; ++i) stored[static_cast<std::size_t>(order[i])] = shape[i];
    const Tensor flat = iota({60'000}, {.type = DType::s64});
    const Tensor x = transpose(
        as_type(reshape(remainder(multiply(flat, 7919), Tensor(1009)), stored), DType::f32),
        {.axes = order});
    const std::vector<float> values = x.to_vector<float>();
    for (const Axes& axes :
         {Axes{0}, Axes{1}, Axes{2}, Axes{0, 1}, Axes{0, 2}, Axes{1, 2}, Axes{0, 1, 2}}) {
      const auto is_folded = [&](std::int64_t axis) {
        return std::find(axes.begin(), axes.end(), axis) != axes.end();
      };
      std::map<std::array<std::int64_t, 3>, std::pair<double, float>> wanted;
      for (std::int64_t at = 0; at < 60'000; ++at) {
        const std::array<std::int64_t, 3> place = {is_folded(0) ? 0 : at / 2000,
                                                   is_folded(1) ? 0 : at / 50 % 40,
                                                   is_folded(2) ? 0 : at % 50};
        auto& [total, most] = wanted[place];
        total += static_cast<double>(values[static_cast<std::size_t>(at)]);
        most = std::max(most, values[static_cast<std::size_t>(at)]);
      }
      const std::vector<float> sums = sum(x, {.axes = axes}).to_vector<float>(),
                               largest = reduce_max(x, {.axes = axes}).to_vector<float>();
      ASSERT_EQ(sums.size(), wanted.size());
      std::size_t at = 0;
      for (const auto& [place, expected] : wanted) {
        EXPECT_EQ(sums[at], static_cast<float>(expected.first));
        EXPECT_EQ(largest[at++], expected.second);
      }
    }
  }
}

// The same numbers laid out one by one fold to the same.
TEST(Reduction, FoldsBroadcastElements) {
  for (const DType type : {DType::f32, DType::f64, DType::s32, DType::u64, DType::u8}) {
    const Tensor column =
        as_type(add(remainder(iota({40, 1}, {.type = DType::s32}), Tensor(3)), Tensor(1)), type);
    const Tensor one = as_type(Tensor(3), type);
    for (const Tensor& x : {broadcast(column, {30, 40, 50}), broadcast(one, {30, 40, 50})}) {
      const Tensor rows = Tensor::from_bytes(x.to_bytes(), x.type());
      for (const Axes& axes :
           {Axes{0}, Axes{1}, Axes{2}, Axes{0, 1}, Axes{0, 2}, Axes{1, 2}, Axes{0, 1, 2}}) {
        EXPECT_EQ(sum(x, {.axes = axes}).to_bytes(), sum(rows, {.axes = axes}).to_bytes());
        EXPECT_EQ(reduce_max(x, {.axes = axes}).to_bytes(),
                  reduce_max(rows, {.axes = axes}).to_bytes());
        EXPECT_EQ(all(x, {.axes = axes}).to_bytes(), all(rows, {.axes = axes}).to_bytes());
        // Of few factors, so that floats stay exact.
        const bool is_exact = is_integer(type) || (type == DType::f64 && axes == Axes{0});
        if (!is_exact) continue;
        EXPECT_EQ(product(x, {.axes = axes}).to_bytes(), product(rows, {.axes = axes}).to_bytes());
      }
    }
  }
}

}  // namespace
}  // namespace mlxnx
