#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/shape.h"
#include "ops/number_tensors.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Case {
  Shape left;
  Axes left_contract, left_batch;
  Shape right;
  Axes right_contract, right_batch;
  Shape result;
};

const std::vector<Case> kCases = {
    {{3}, {0}, {}, {3}, {0}, {}, {}},
    {{2, 3}, {1}, {}, {3}, {0}, {}, {2}},
    {{3}, {0}, {}, {3, 2}, {0}, {}, {2}},
    {{2, 3}, {1}, {}, {3, 4}, {0}, {}, {2, 4}},
    {{2, 3}, {-1}, {}, {4, 3}, {-1}, {}, {2, 4}},
    {{3, 2}, {0}, {}, {3, 4}, {0}, {}, {2, 4}},
    {{3, 2}, {0}, {}, {4, 3}, {1}, {}, {2, 4}},
    {{1, 3}, {1}, {}, {3, 1}, {0}, {}, {1, 1}},
    {{2, 2, 3}, {2}, {}, {3, 2, 2}, {0}, {}, {2, 2, 2, 2}},
    {{2, 3, 2}, {1}, {}, {2, 3, 2}, {1}, {}, {2, 2, 2, 2}},
    {{2, 3, 4}, {1, 2}, {}, {3, 4}, {0, 1}, {}, {2}},
    {{2, 3, 4}, {2, 1}, {}, {4, 3, 5}, {0, 1}, {}, {2, 5}},
    {{4, 3, 2}, {0, 1}, {}, {5, 3, 4}, {2, 1}, {}, {2, 5}},
    {{2, 3}, {0, 1}, {}, {3, 2}, {1, 0}, {}, {}},
    {{2, 3}, {}, {}, {4}, {}, {}, {2, 3, 4}},
    {{}, {}, {}, {2, 2}, {}, {}, {2, 2}},
    {{}, {}, {}, {}, {}, {}, {}},
    {{2, 3}, {1}, {0}, {2, 3}, {1}, {0}, {2}},
    {{2, 3, 4}, {2}, {0}, {2, 4, 5}, {1}, {0}, {2, 3, 5}},
    {{2, 4, 3}, {1}, {0}, {2, 5, 4}, {-1}, {0}, {2, 3, 5}},
    {{2, 3, 2, 4}, {3}, {0, 1}, {2, 3, 4, 2}, {2}, {0, 1}, {2, 3, 2, 2}},
    {{2, 3, 4}, {1, 2}, {0}, {2, 3, 4, 2}, {1, 2}, {0}, {2, 2}},
    {{2, 3}, {}, {0}, {2, 4}, {}, {0}, {2, 3, 4}},
    {{2, 8, 3, 2}, {2, 1}, {0}, {2, 8, 2, 3}, {3, 1}, {0}, {2, 2, 2}},
    {{0, 3}, {1}, {}, {3, 2}, {0}, {}, {0, 2}},
    {{2, 0}, {1}, {}, {0, 2}, {0}, {}, {2, 2}},
    {{0}, {0}, {}, {0}, {0}, {}, {}},
    {{0, 2, 3}, {2}, {0}, {0, 3, 2}, {1}, {0}, {0, 2, 2}},
};

Tensor dot(const Case& c, const Tensor& left, const Tensor& right) {
  return dot(left, c.left_contract, c.left_batch, right, c.right_contract, c.right_batch);
}

// Walks all positions of `dims`, counting `at` up like an odometer; false at the end.
bool next(Shape& at, const Shape& dims) {
  for (std::size_t i = dims.size(); i-- > 0;) {
    if (++at[i] < dims[i]) return true;
    at[i] = 0;
  }
  return false;
}

struct Walk {
  Shape shape;
  Axes contract, batch, free;
  Walk(const Shape& shape, const Axes& contract, const Axes& batch) : shape(shape), batch(batch) {
    const auto rank = static_cast<std::int64_t>(shape.size());
    for (const std::int64_t axis : contract)
      this->contract.push_back(axis < 0 ? axis + rank : axis);
    for (std::int64_t i = 0; i < rank; ++i) {
      const auto holds = [i](const Axes& axes) {
        return std::find(axes.begin(), axes.end(), i) != axes.end();
      };
      if (!holds(this->contract) && !holds(batch)) free.push_back(i);
    }
  }
  Shape dims(const Axes& axes) const {
    Shape result;
    for (const std::int64_t axis : axes) result.push_back(shape[static_cast<std::size_t>(axis)]);
    return result;
  }
  std::size_t offset(const Shape& batch_at, const Shape& free_at, const Shape& contract_at) const {
    Shape at(shape.size());
    const auto place = [&at](const Axes& axes, const Shape& values) {
      for (std::size_t i = 0; i < axes.size(); ++i)
        at[static_cast<std::size_t>(axes[i])] = values[i];
    };
    place(batch, batch_at);
    place(free, free_at);
    place(contract, contract_at);
    std::int64_t result = 0;
    for (std::size_t i = 0; i < shape.size(); ++i) result = result * shape[i] + at[i];
    return static_cast<std::size_t>(result);
  }
};

// The definition: loops over everything, in the arithmetic of T.
template <typename T>
std::vector<T> reference(const Case& c, const std::vector<T>& left, const std::vector<T>& right) {
  const Walk a(c.left, c.left_contract, c.left_batch);
  const Walk b(c.right, c.right_contract, c.right_batch);
  std::vector<T> result;
  if (element_count(c.result) == 0) return result;
  const Shape batch = a.dims(a.batch), a_free = a.dims(a.free), b_free = b.dims(b.free);
  const Shape contract = a.dims(a.contract);
  Shape batch_at(batch.size(), 0);
  do {
    Shape a_at(a_free.size(), 0);
    do {
      Shape b_at(b_free.size(), 0);
      do {
        T sum{};
        Shape at(contract.size(), 0);
        if (element_count(contract) > 0) {
          do {
            sum += left[a.offset(batch_at, a_at, at)] * right[b.offset(batch_at, b_at, at)];
          } while (next(at, contract));
        }
        result.push_back(sum);
      } while (next(b_at, b_free));
    } while (next(a_at, a_free));
  } while (next(batch_at, batch));
  return result;
}

TEST(Dot, ContractsEveryTypeOverEveryKindOfAxes) {
  for (const DType type : kDTypes) {
    for (const Case& c : kCases) {
      const auto small = [](std::size_t i) { return static_cast<std::int64_t>(i * 7 % 4); };
      const Tensor left = generate(type, c.left, small);
      const Tensor right = generate(type, c.right, small);
      const Tensor result = dot(c, left, right);
      const auto expected = reference(c, complex_of(left), complex_of(right));
      EXPECT_EQ(result.type(), (TensorType{type, c.result}));
      EXPECT_EQ(complex_of(result), expected)
          << name(type) << " " << to_string(c.left) << " " << to_string(c.right);
    }
  }
}

std::uint64_t bits_of(const Number& number) {
  if (const auto* u = std::get_if<std::uint64_t>(&number)) return *u;
  return static_cast<std::uint64_t>(std::get<std::int64_t>(number));
}

std::vector<std::uint64_t> bits_of(const Tensor& tensor) {
  std::vector<std::uint64_t> result;
  for (const Number& number : numbers_of(tensor)) result.push_back(bits_of(number));
  return result;
}

Tensor random_integers(DType type, const Shape& shape, unsigned seed) {
  std::mt19937_64 random(seed);
  return generate(type, shape, [&](std::size_t) { return static_cast<std::int64_t>(random()); });
}

// Sizes that take every way there is: element by element, split into limbs, vectors, few rows.
TEST(Dot, IntegersAreExactAndWrap) {
  const std::vector<std::pair<DType, DType>> types = {
      {DType::u8, DType::u8},   {DType::s8, DType::s8},   {DType::u16, DType::u16},
      {DType::s16, DType::s16}, {DType::u32, DType::u32}, {DType::s32, DType::s32},
      {DType::u64, DType::u64}, {DType::s64, DType::s64}, {DType::u32, DType::s32},
      {DType::s8, DType::u16},  {DType::s64, DType::u8},  {DType::u64, DType::s32}};
  const std::vector<Case> cases = {
      {{4, 5}, {1}, {}, {5, 3}, {0}, {}, {4, 3}},
      {{20, 40}, {1}, {}, {40, 30}, {0}, {}, {20, 30}},
      {{40, 20}, {0}, {}, {30, 40}, {1}, {}, {20, 30}},
      {{300}, {0}, {}, {300, 40}, {0}, {}, {40}},
      {{300}, {0}, {}, {40, 300}, {1}, {}, {40}},
      {{40, 300}, {1}, {}, {300}, {0}, {}, {40}},
      {{300, 40}, {0}, {}, {300}, {0}, {}, {40}},
      {{3, 200}, {1}, {}, {200, 30}, {0}, {}, {3, 30}},
      {{200, 30}, {0}, {}, {200, 3}, {0}, {}, {30, 3}},
      {{2, 20, 30}, {2}, {0}, {2, 30, 20}, {1}, {0}, {2, 20, 20}},
  };
  for (const auto& [left_type, right_type] : types) {
    for (const Case& c : cases) {
      const Tensor left = random_integers(left_type, c.left, 1);
      const Tensor right = random_integers(right_type, c.right, 2);
      const Tensor result = dot(c, left, right);
      std::vector<std::uint64_t> expected = reference(c, bits_of(left), bits_of(right));
      const Tensor wrapped = generate(result.dtype(), c.result, [&](std::size_t i) {
        return static_cast<std::int64_t>(expected[i]);
      });
      EXPECT_EQ(bits_of(result), bits_of(wrapped))
          << name(left_type) << " " << name(right_type) << " " << to_string(c.left);
    }
  }
}

TEST(Dot, IntegersStayExactBeyondWhatOneFloatingProductHolds) {
  const std::int64_t depth = (std::int64_t{1} << 19) + 5;
  for (const DType type : {DType::u16, DType::s64}) {
    const auto largest = [](std::size_t) { return std::int64_t{-1}; };
    const Tensor left = generate(type, {5, depth}, largest);
    const Tensor right = generate(type, {depth, 5}, largest);
    const std::uint64_t expected = static_cast<std::uint64_t>(depth);
    const std::uint64_t mask = type == DType::u16 ? 0xffff : ~std::uint64_t{0};
    EXPECT_THAT(bits_of(dot(left, right)), testing::Each(expected & mask)) << name(type);
  }
}

TEST(Dot, HalfFloatsAccumulateInSinglePrecision) {
  for (const DType type : {DType::f16, DType::bf16}) {
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{3}, std::int64_t{20}}) {
      const auto one = [](std::size_t) { return 1.0; };
      const Tensor result = dot(generate(type, {rows, 4096}, one), generate(type, {4096, 9}, one));
      EXPECT_EQ(result.dtype(), type);
      EXPECT_THAT(complex_of(result), testing::Each(std::complex<double>(4096.0)));
    }
  }
}

TEST(Dot, DoublesAreAccurate) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  const auto value = [&](std::size_t) { return normal(random); };
  const Case c = {{17, 300}, {1}, {}, {300, 23}, {0}, {}, {17, 23}};
  const Tensor left = generate(DType::f64, c.left, value);
  const Tensor right = generate(DType::f64, c.right, value);
  const auto a = left.to_vector<double>(), b = right.to_vector<double>();
  const auto expected = reference(c, std::vector<long double>(a.begin(), a.end()),
                                  std::vector<long double>(b.begin(), b.end()));
  const auto result = dot(left, right).to_vector<double>();
  for (std::size_t i = 0; i < result.size(); ++i)
    EXPECT_NEAR(result[i], static_cast<double>(expected[i]), 1e-13);
}

TEST(Dot, MultipliesComplexNumbersWithoutConjugation) {
  using Complex = std::complex<float>;
  const Tensor left = Tensor::from_span<Complex>(std::vector<Complex>{{1, 2}, {0, 1}}, {2});
  const Tensor right = Tensor::from_span<Complex>(std::vector<Complex>{{3, -1}, {2, 2}}, {2});
  EXPECT_EQ(dot(left, right).item<std::complex<double>>(), std::complex<double>(3, 7));
  const Tensor real = Tensor::from_span<float>(std::vector<float>{2, 3}, {2});
  const Tensor mixed = dot(left, real);
  EXPECT_EQ(mixed.dtype(), DType::c64);
  EXPECT_EQ(mixed.item<std::complex<double>>(), std::complex<double>(2, 7));
}

TEST(Dot, MergesTypesAsNxDoes) {
  const std::vector<std::array<DType, 3>> rows = {
      {DType::u8, DType::s8, DType::s16},    {DType::u32, DType::s32, DType::s64},
      {DType::u64, DType::s32, DType::s64},  {DType::s64, DType::f16, DType::f16},
      {DType::bf16, DType::f16, DType::f16}, {DType::s32, DType::f64, DType::f64},
      {DType::f32, DType::c64, DType::c64}};
  for (const auto& [left, right, merged] : rows) {
    const auto two = [](std::size_t) { return std::int64_t{2}; };
    const Tensor result = dot(generate(left, {2}, two), generate(right, {2}, two));
    EXPECT_EQ(result.dtype(), merged);
    EXPECT_EQ(result.item<std::complex<double>>(), std::complex<double>(8.0));
  }
}

TEST(Dot, TakesDefaultAxesByRank) {
  const Tensor row = iota({2}), matrix = iota({2, 2});
  const Tensor cube = iota({2, 2, 2});
  EXPECT_EQ(dot(row, matrix).to_vector<std::int32_t>(), (std::vector<std::int32_t>{2, 3}));
  EXPECT_EQ(dot(matrix, row).to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(dot(cube, cube).shape(), (Shape{2, 2, 2, 2}));
  EXPECT_EQ(dot(row, cube).to_vector<std::int32_t>(), (std::vector<std::int32_t>{2, 3, 6, 7}));
  EXPECT_EQ(dot(Tensor(3), matrix).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{0, 3, 6, 9}));
}

TEST(Dot, TakesViewsAsOperands) {
  for (const DType type : {DType::f32, DType::f16, DType::s32, DType::u8}) {
    for (const std::int64_t size : {std::int64_t{4}, std::int64_t{40}}) {
      const auto small = [](std::size_t i) { return static_cast<std::int64_t>(i % 5); };
      const Tensor matrix = generate(type, {size, size}, small);
      const Tensor turned = transpose(matrix);
      const Tensor copy = Tensor::from_bytes(turned.to_bytes(), turned.type());
      const Tensor repeated = broadcast(Tensor(2), {size, size});
      EXPECT_EQ(dot(turned, matrix).to_bytes(), dot(copy, matrix).to_bytes());
      EXPECT_EQ(dot(matrix, turned).to_bytes(), dot(matrix, copy).to_bytes());
      EXPECT_EQ(dot(turned, {0}, repeated, {1}).shape(), (Shape{size, size}));
    }
  }
}

TEST(Dot, SumsOfOneProductAreNeverNegativeZeros) {
  for (const DType type : {DType::f32, DType::f16, DType::f64}) {
    const Tensor column = generate(type, {2, 1}, [](std::size_t i) { return i == 0 ? -0.0 : 3.0; });
    const Tensor row = generate(type, {1, 2}, [](std::size_t i) { return i == 0 ? 1.0 : -0.0; });
    const Tensor outer = dot(column, row);
    EXPECT_EQ(outer.dtype(), type);
    EXPECT_THAT(as_type(outer, DType::f64).to_vector<double>(), ElementsAre(0.0, 0.0, 3.0, 0.0));
    for (const double product : as_type(outer, DType::f64).to_vector<double>())
      EXPECT_FALSE(std::signbit(product));
  }
}

TEST(Dot, TakesWhatComparisonsLeave) {
  const Tensor mask = testing_support::mask({1, 0, 1});
  EXPECT_EQ(dot(mask, mask).type(), (TensorType{DType::u8, {}}));
  EXPECT_EQ(dot(mask, mask).item<int>(), 2);
  EXPECT_EQ(dot(mask, {}, mask, {}).to_vector<std::uint8_t>(),
            (std::vector<std::uint8_t>{1, 0, 1, 0, 0, 0, 1, 0, 1}));
  EXPECT_EQ(dot(mask, generate(DType::f16, {3}, [](std::size_t) { return 2.0; })).dtype(),
            DType::f16);
}

TEST(Dot, NanAndInfinityStayInTheirRow) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor left =
      Tensor::from_span<float>(std::vector<float>{1, 2, nan, 1, infinity, 1}, {3, 2});
  const auto result =
      dot(left, generate(DType::f32, {2, 2}, [](std::size_t i) { return i == 3 ? 0.0 : 1.0; }))
          .to_vector<float>();
  EXPECT_EQ(result[0], 3.0f);
  EXPECT_EQ(result[1], 1.0f);
  EXPECT_TRUE(std::isnan(result[2]) && std::isnan(result[3]));
  EXPECT_TRUE(std::isinf(result[4]) && std::isinf(result[5]));
}

TEST(Dot, OuterFlattensAndConjugatesTheRightSide) {
  const Tensor result = outer(iota({2, 2}), iota({3}));
  EXPECT_EQ(result.type(), (TensorType{DType::s32, {4, 3}}));
  EXPECT_EQ(result.to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{0, 0, 0, 0, 1, 2, 0, 2, 4, 0, 3, 6}));
  EXPECT_EQ(outer(Tensor(2.0), Tensor(3)).shape(), (Shape{1, 1}));
  const Tensor complex = outer(Tensor(1), Tensor(std::complex<double>(0, 1)));
  EXPECT_EQ(complex.item<std::complex<double>>(), std::complex<double>(0, -1));
}

TEST(Dot, RefusesWhatDoesNotFit) {
  const Tensor a = iota({2, 3}), b = iota({2, 4});
  const auto refusal = [&](auto... arguments) {
    return message_of<ShapeError>([&] { dot(arguments...); });
  };
  EXPECT_THAT(refusal(a, b), testing::AllOf(HasSubstr("[dot] dimension 1 of the left side (3)"),
                                            HasSubstr("{2, 3} and {2, 4}")));
  EXPECT_THAT(refusal(a, Axes{5}, b, Axes{0}), HasSubstr("axis 5 is out of bounds"));
  EXPECT_THAT(refusal(a, Axes{0, 1}, b, Axes{0}), HasSubstr("{0, 1} and {0}"));
  EXPECT_THAT(refusal(a, Axes{0, 0}, b, Axes{0, 1}), HasSubstr("given twice"));
  EXPECT_THAT(refusal(a, Axes{1}, Axes{0}, b, Axes{1}, Axes{}),
              HasSubstr("right tensor must be batched"));
  EXPECT_THAT(refusal(a, Axes{0}, Axes{1}, b, Axes{0}, Axes{1}), HasSubstr("successive from 0"));
  EXPECT_THAT(refusal(a, Axes{0}, Axes{0}, b, Axes{1}, Axes{0}),
              HasSubstr("both a batch axis and a contracted one"));
  EXPECT_THAT(refusal(a, Axes{1}, Axes{0}, iota({3, 3}), Axes{1}, Axes{0}),
              HasSubstr("batch dimensions must match, got {2} of {2, 3} and {3} of {3, 3}"));
  const auto one = [](std::size_t) { return 1.0; };
  EXPECT_THAT(message_of<UnsupportedError>(
                  [&] { dot(generate(DType::f64, {2}, one), generate(DType::c64, {2}, one)); }),
              HasSubstr("c128"));
}

}  // namespace
}  // namespace mlxnx
