// Comparisons and logic of every pair of types.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>

#include "mlxnx/ops/elementwise.h"
#include "ops/hard_numbers.h"
#include "ops/operands.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;

using Complex = std::complex<double>;
__extension__ using Wide = __int128;

enum Order { kLess, kEqual, kGreater, kUnordered };

Order order_of(Wide a, Wide b) { return a < b ? kLess : a == b ? kEqual : kGreater; }

Order mirrored(Order order) {
  return order == kLess ? kGreater : order == kGreater ? kLess : order;
}

Order order_of(Wide integer, double real) {
  if (std::isnan(real)) return kUnordered;
  if (real >= 0x1p65) return kLess;
  if (real <= -0x1p65) return kGreater;
  const double whole = std::floor(real);
  const Order order = order_of(integer, static_cast<Wide>(whole));
  return order == kEqual && whole < real ? kLess : order;
}

// The order of two real numbers as Elixir has it: exact.
Order order_of(const Number& a, const Number& b) {
  return std::visit(
      [](auto x, auto y) {
        using X = decltype(x);
        using Y = decltype(y);
        if constexpr (std::is_same_v<X, Complex> || std::is_same_v<Y, Complex>) {
          return kUnordered;
        } else if constexpr (std::is_integral_v<X> && std::is_integral_v<Y>) {
          return order_of(static_cast<Wide>(x), static_cast<Wide>(y));
        } else if constexpr (std::is_integral_v<X>) {
          return order_of(static_cast<Wide>(x), y);
        } else if constexpr (std::is_integral_v<Y>) {
          return mirrored(order_of(static_cast<Wide>(y), x));
        } else {
          return x < y ? kLess : x == y ? kEqual : x > y ? kGreater : kUnordered;
        }
      },
      a, b);
}

struct ComparisonCase {
  const char* op;
  bool (*holds)(Order);
};

constexpr ComparisonCase kComparisons[] = {
    {"equal", [](Order o) { return o == kEqual; }},
    {"not_equal", [](Order o) { return o != kEqual; }},
    {"less", [](Order o) { return o == kLess; }},
    {"less_equal", [](Order o) { return o == kLess || o == kEqual; }},
    {"greater", [](Order o) { return o == kGreater; }},
    {"greater_equal", [](Order o) { return o == kGreater || o == kEqual; }},
};

double as_double(const Number& number) { return doubles(make({number}, DType::f64))[0]; }

// Numbers beside the hard ones of every other type, so that rounding would show.
std::vector<Number> close_numbers(DType type) {
  std::vector<Number> values = hard_numbers(type);
  if (is_integer(type)) {
    for (const std::int64_t n : {16777216, 16777217, 16777215, 2049, 257})
      if (ops::holds(type, n)) values.emplace_back(n);
    for (const std::int64_t n : {9007199254740993, 9007199254740992})
      if (bits(type) == 64) values.emplace_back(n);
  } else {
    for (const double x : {2048.0, 256.0, 9007199254740992.0, 0x1.fffffep62, 254.5})
      if (type != DType::f16 || x < 6e4) values.emplace_back(x);
  }
  return numbers(make(values, type));
}

TEST(Comparisons, AreOfTheNumbersForEveryPairOfTypes) {
  for (const DType a_type : kDTypes) {
    for (const DType b_type : kDTypes) {
      if (is_complex(a_type) || is_complex(b_type)) continue;
      const auto a = close_numbers(a_type);
      const auto b = close_numbers(b_type);
      const Tensor left = make(a, a_type, {static_cast<std::int64_t>(a.size()), 1});
      for (const ComparisonCase& row : kComparisons) {
        const Tensor result = call(row.op, left, make(b, b_type));
        ASSERT_EQ(result.dtype(), DType::u8);
        const auto got = result.to_vector<std::uint8_t>();
        for (std::size_t i = 0; i < a.size(); ++i)
          for (std::size_t j = 0; j < b.size(); ++j)
            EXPECT_EQ(got[i * b.size() + j], row.holds(order_of(a[i], b[j])))
                << row.op << " of " << name(a_type) << " " << as_double(a[i]) << " and "
                << name(b_type) << " " << as_double(b[j]);
      }
    }
  }
}

TEST(Comparisons, AreTheSameForKnownAndUnknownScalars) {
  for (const DType a_type : kDTypes) {
    if (is_complex(a_type)) continue;
    const auto a = close_numbers(a_type);
    const Tensor left = make(a, a_type);
    for (const DType b_type : {DType::s32, DType::f32, DType::u64, DType::f64}) {
      for (const Number& b : close_numbers(b_type)) {
        const Tensor known = make({b}, b_type, {});
        for (const ComparisonCase& row : kComparisons) {
          const auto got = call(row.op, left, known).to_vector<std::uint8_t>();
          const auto turned = call(row.op, known, left).to_vector<std::uint8_t>();
          for (std::size_t i = 0; i < a.size(); ++i) {
            EXPECT_EQ(got[i], row.holds(order_of(a[i], b)))
                << row.op << " " << name(a_type) << " " << as_double(a[i]) << " " << name(b_type)
                << " " << as_double(b);
            EXPECT_EQ(turned[i], row.holds(order_of(b, a[i]))) << row.op << " turned";
          }
        }
      }
    }
  }
}

TEST(Comparisons, ComplexNumbersEqualRealOnesWithoutAnImaginaryPart) {
  const Tensor z =
      make({Complex(2, 0), Complex(2, 1), Complex(16777216, 0), Complex(NAN, 0)}, DType::c64);
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    const Tensor two = make({std::int64_t{2}}, type);
    EXPECT_THAT(equal(z, two).to_vector<std::uint8_t>(), ElementsAre(1, 0, 0, 0)) << name(type);
    EXPECT_THAT(not_equal(two, z).to_vector<std::uint8_t>(), ElementsAre(0, 1, 1, 1)) << name(type);
  }
  const Tensor n = make({std::int64_t{16777217}, std::int64_t{16777216}}, DType::s32, {2, 1});
  EXPECT_THAT(equal(z, n).to_vector<std::uint8_t>(), ElementsAre(0, 0, 0, 0, 0, 0, 1, 0));
  EXPECT_THAT(equal(z, z).to_vector<std::uint8_t>(), ElementsAre(1, 1, 1, 0));
}

TEST(Comparisons, RefuseToOrderComplexNumbers) {
  const Tensor z = make({Complex(2, 0)}, DType::c64);
  for (const char* op : {"less", "less_equal", "greater", "greater_equal"})
    EXPECT_THROW(call(op, z, make({1.0}, DType::f32)), TypeError) << op;
  try {
    less(z, make({1.0, 2.0}, DType::f32));
    FAIL();
  } catch (const TypeError& error) {
    EXPECT_STREQ(error.what(), "[less] does not take complex tensors, got c64[1] and f32[2]");
  }
}

TEST(Comparisons, BroadcastAndRefuseOtherShapes) {
  const Tensor a = make({1.0, 2.0, 3.0}, DType::f32, {3, 1});
  const Tensor b = make({2.0, 3.0}, DType::f32);
  EXPECT_THAT(less(a, b).to_vector<std::uint8_t>(), ElementsAre(1, 1, 0, 1, 0, 0));
  EXPECT_EQ(equal(make({}, DType::f32, {0, 2}), b).shape(), (Shape{0, 2}));
  try {
    less(make({1.0, 2.0, 3.0}, DType::f32), b);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "[less] cannot broadcast tensor of dimensions {3} to {2}");
  }
}

TEST(Logic, TakesEverythingButZeroForTrueInEveryPairOfTypes) {
  for (const DType a_type : kDTypes) {
    for (const DType b_type : kDTypes) {
      const Tensor a =
          make({std::int64_t{0}, std::int64_t{0}, std::int64_t{5}, std::int64_t{5}}, a_type);
      const Tensor b =
          make({std::int64_t{0}, std::int64_t{100}, std::int64_t{0}, std::int64_t{100}}, b_type);
      EXPECT_THAT(logical_and(a, b).to_vector<std::uint8_t>(), ElementsAre(0, 0, 0, 1));
      EXPECT_THAT(logical_or(a, b).to_vector<std::uint8_t>(), ElementsAre(0, 1, 1, 1));
      EXPECT_THAT(logical_xor(a, b).to_vector<std::uint8_t>(), ElementsAre(0, 1, 1, 0));
    }
  }
}

TEST(Logic, NanAndImaginaryNumbersAreTrue) {
  const Tensor x = make({NAN, -0.0, 1e-30}, DType::f32);
  const Tensor one = make({std::int64_t{1}}, DType::u8);
  EXPECT_THAT(logical_and(x, one).to_vector<std::uint8_t>(), ElementsAre(1, 0, 1));
  const Tensor z = make({Complex(0, 3), Complex(0, 0), Complex(NAN, 0)}, DType::c64);
  EXPECT_THAT(logical_xor(z, one).to_vector<std::uint8_t>(), ElementsAre(0, 1, 0));
}

}  // namespace
}  // namespace mlxnx
