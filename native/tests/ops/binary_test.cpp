// Floats and complex numbers in element-wise ops of two operands; all_close. Integers have
// integer_test.cpp, comparisons comparison_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>

#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/shape.h"
#include "ops/hard_numbers.h"
#include "ops/type_rules.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Complex = std::complex<double>;

struct FloatCase {
  const char* op;
  double (*reference)(double, double);
};

constexpr FloatCase kFloatCases[] = {
    {"add", [](double a, double b) { return a + b; }},
    {"subtract", [](double a, double b) { return a - b; }},
    {"multiply", [](double a, double b) { return a * b; }},
    {"divide", [](double a, double b) { return a / b; }},
    {"remainder", [](double a, double b) { return std::fmod(a, b); }},
    {"pow", [](double a, double b) { return std::pow(a, b); }},
    {"atan2", [](double a, double b) { return std::atan2(a, b); }},
    {"max",
     [](double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }},
    {"min",
     [](double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }},
};

double unit(DType type) {
  return type == DType::f64 ? 1e-15 : type == DType::f32 ? 1e-6 : type == DType::f16 ? 4e-3 : 3e-2;
}

TEST(Binary, FloatsHaveTheResultsOfCAndTheTypesOfNx) {
  const std::vector<Number> values = {0.0, 1.0,  -1.0, 0.5,   -0.5,     2.5,       -2.5,
                                      3.0, -7.0, 10.0, 0.125, INFINITY, -INFINITY, NAN};
  for (const DType a_type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    for (const DType b_type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
      const auto a = doubles(make(values, a_type));
      for (const FloatCase& row : kFloatCases) {
        const Tensor result = call(row.op, make(values, a_type, {14, 1}), make(values, b_type));
        ASSERT_EQ(result.dtype(), ops::merge(a_type, b_type)) << row.op;
        const auto got = doubles(result);
        for (std::size_t k = 0; k < got.size(); ++k) {
          const double x = a[k / 14];
          const double y = a[k % 14];
          const double expected = doubles(make({row.reference(x, y)}, result.dtype()))[0];
          const bool same = got[k] == expected || (std::isnan(got[k]) && std::isnan(expected));
          EXPECT_TRUE(same || std::abs(got[k] - expected) <=
                                  unit(result.dtype()) * std::max(1.0, std::abs(expected)))
              << row.op << "(" << x << ", " << y << ") in " << name(result.dtype()) << " is "
              << got[k];
        }
      }
    }
  }
}

TEST(Binary, RemainderIsExactWhereRoundingWouldShow) {
  EXPECT_EQ(doubles(remainder(make({-1e-20}, DType::f64), make({1.0}, DType::f64)))[0], -1e-20);
  EXPECT_EQ(doubles(remainder(make({1e17}, DType::f64), make({7.0}, DType::f64)))[0],
            std::fmod(1e17, 7.0));
  const Tensor n = make({std::int64_t{123456789}, std::int64_t{-123456789}}, DType::s32);
  EXPECT_THAT(remainder(n, make({10.0}, DType::f32)).to_vector<float>(), ElementsAre(9.0F, -9.0F));
  EXPECT_THAT(doubles(remainder(make({3.94}, DType::f16), make({7.0}, DType::f16, {}))),
              ElementsAre(testing::DoubleNear(3.94, 2e-3)));
}

TEST(Binary, PowKeepsAnExponentThatAHalfFloatWouldRound) {
  const Tensor base = make({1e30}, DType::bf16);
  const TensorType wanted{DType::bf16, {1}};
  const Tensor third = make({1.0 / 3}, DType::f32, {});
  const auto got = ops::invoke_all(ops::op("pow"), {base, third}, {}, std::span(&wanted, 1))[0];
  EXPECT_NEAR(doubles(got)[0] / 1e10, 1, 1e-2);
}

TEST(Binary, PowOfASquareIsExactInEveryType) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    const Tensor x = make({std::int64_t{3}, std::int64_t{0}, std::int64_t{11}}, type);
    EXPECT_THAT(doubles(pow(x, make({std::int64_t{2}}, DType::u8, {}))), ElementsAre(9, 0, 121));
    EXPECT_THAT(doubles(pow(x, unknown(make({std::int64_t{2}}, DType::u8, {})))),
                ElementsAre(9, 0, 121));
  }
}

TEST(Binary, DivideMakesIntegersFloats) {
  const Tensor a = make({std::int64_t{7}, std::int64_t{-7}, std::int64_t{0}}, DType::s64);
  const Tensor b = make({std::int64_t{2}, std::int64_t{0}, std::int64_t{0}}, DType::u8);
  const Tensor result = divide(a, b);
  EXPECT_EQ(result.dtype(), DType::f32);
  EXPECT_THAT(result.to_vector<float>(), ElementsAre(3.5F, -INFINITY, testing::IsNan()));
}

TEST(Binary, ComplexArithmeticIsNxs) {
  const Tensor a = make({Complex(1, 2), Complex(-3, 0.5)}, DType::c64);
  const Tensor b = make({Complex(2, -1), Complex(0, 0)}, DType::c64);
  const auto check = [](const Tensor& result, const std::vector<Complex>& expected) {
    const auto got = numbers(result);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const Complex z = std::get<Complex>(got[i]);
      const bool both_nan =
          std::isnan(expected[i].real()) && std::isnan(z.real()) && std::isnan(z.imag());
      EXPECT_TRUE(both_nan || std::abs(z - expected[i]) <= 1e-5 * std::abs(expected[i])) << z;
    }
  };
  check(add(a, b), {{3, 1}, {-3, 0.5}});
  check(subtract(a, b), {{-1, 3}, {-3, 0.5}});
  check(multiply(a, b), {{4, 3}, {0, 0}});
  check(divide(a, b), {{0, 1}, {NAN, NAN}});
  check(divide(a, make({2.0}, DType::f32, {})), {{0.5, 1}, {-1.5, 0.25}});
  check(pow(a, b), {std::pow(Complex(1, 2), Complex(2, -1)), {1, 0}});
  check(pow(b, a), {std::pow(Complex(2, -1), Complex(1, 2)), {0, 0}});
  check(pow(a, make({std::int64_t{3}}, DType::s32, {})),
        {std::pow(Complex(1, 2), 3), std::pow(Complex(-3, 0.5), 3)});
  check(pow(make({std::int64_t{-2}}, DType::s32), b),
        {std::pow(Complex(-2, 0), Complex(2, -1)), {1, 0}});
  check(atan2(make({Complex(1, 0)}, DType::c64), make({Complex(2, 0)}, DType::c64)),
        {{0.4636476, 0}});
  // Off the real axis there is no angle.
  const Tensor angle = atan2(make({Complex(1, 1)}, DType::c64), make({1.0}, DType::f32));
  EXPECT_TRUE(std::isnan(std::get<Complex>(numbers(angle)[0]).real()));
  EXPECT_THROW(atan2(make({Complex(1, 1)}, DType::c64, {}), make({1.0}, DType::f32)),
               ArithmeticError);
}

TEST(Binary, MaxAndMinRefuseComplexTensors) {
  const Tensor z = make({Complex(1, 0)}, DType::c64);
  for (const char* op : {"max", "min", "remainder"}) {
    try {
      call(op, make({1.0}, DType::f32), z);
      FAIL();
    } catch (const TypeError& error) {
      EXPECT_THAT(error.what(), HasSubstr("does not take complex tensors, got f32[1] and c64[1]"));
    }
  }
}

TEST(Binary, IntegerOpsRefuseFloats) {
  for (const char* op :
       {"quotient", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"}) {
    try {
      call(op, make({std::int64_t{1}}, DType::s32), make({1.0}, DType::f32));
      FAIL();
    } catch (const TypeError& error) {
      EXPECT_EQ(error.what(),
                "[" + std::string(op) + "] takes integer tensors, got s32[1] and f32[1]");
    }
  }
}

TEST(Binary, F64DoesNotMeetC64) {
  EXPECT_THROW(add(make({1.0}, DType::f64), make({Complex(1, 0)}, DType::c64)), UnsupportedError);
}

TEST(Binary, EveryOpTakesEveryPairOfTypesItDoesNotRefuseAlsoEmptyOnes) {
  for (const ops::OpDef* row : ops::all_ops()) {
    if (row->group != ops::Group::kBinary) continue;
    for (const DType a_type : kDTypes) {
      for (const DType b_type : kDTypes) {
        const Tensor empty = make({}, a_type, {0, 1});
        const Tensor b = make({std::int64_t{1}, std::int64_t{2}}, b_type);
        try {
          const Tensor result = ops::invoke(*row, {empty, b});
          const bool is_scalar = row->name == "block:AllClose";
          EXPECT_EQ(result.shape(), is_scalar ? Shape{} : (Shape{0, 2})) << row->name;
          EXPECT_EQ(result.to_bytes().size(), is_scalar ? 1U : 0U) << row->name;
        } catch (const TypeError& error) {
          EXPECT_THAT(error.what(), HasSubstr(std::string(row->name)));
        } catch (const UnsupportedError& error) {
          EXPECT_THAT(error.what(), HasSubstr("c128"));
        }
      }
    }
  }
}

TEST(AllClose, HasNxsTolerances) {
  const Tensor a = make({1.0, 2.0}, DType::f32);
  EXPECT_EQ(all_close(a, make({1.000001, 2.00001}, DType::f32)).item<int>(), 1);
  EXPECT_EQ(all_close(a, make({1.0, 2.001}, DType::f32)).item<int>(), 0);
  EXPECT_EQ(all_close(a, make({1.0, 2.001}, DType::f32), {.rtol = 1e-2}).item<int>(), 1);
  EXPECT_EQ(all_close(a, make({1.0, 2.001}, DType::f32), {.atol = 1e-2}).item<int>(), 1);
  EXPECT_EQ(all_close(a, a).type(), (TensorType{DType::u8, {}}));
}

TEST(AllClose, KnowsInfinitiesAndNan) {
  const Tensor inf = make({INFINITY, -INFINITY, 1.0}, DType::f64);
  EXPECT_EQ(all_close(inf, inf).item<int>(), 1);
  EXPECT_EQ(all_close(inf, negate(inf)).item<int>(), 0);
  EXPECT_EQ(all_close(make({1e30}, DType::f32), make({INFINITY}, DType::f32)).item<int>(), 0);
  const Tensor nan = make({NAN, 1.0}, DType::f32);
  EXPECT_EQ(all_close(nan, nan).item<int>(), 0);
  EXPECT_EQ(all_close(nan, nan, {.equal_nan = true}).item<int>(), 1);
  const Tensor z = make({Complex(INFINITY, 1), Complex(1, 1)}, DType::c64);
  EXPECT_EQ(all_close(z, z).item<int>(), 1);
}

TEST(AllClose, WidensTheMagnitudeOfTheLowestInteger) {
  const Tensor lowest = make({std::int64_t{-128}, std::int64_t{5}}, DType::s8);
  EXPECT_EQ(all_close(lowest, lowest).item<int>(), 1);
  EXPECT_EQ(all_close(make({std::int64_t{3}}, DType::u8), make({3.0}, DType::bf16)).item<int>(), 1);
}

TEST(AllClose, BroadcastsAndTakesEmptyTensors) {
  EXPECT_EQ(all_close(make({2.0, 2.0}, DType::f32), make({2.0}, DType::f32, {})).item<int>(), 1);
  EXPECT_EQ(all_close(make({}, DType::f32), make({}, DType::f32)).item<int>(), 1);
  EXPECT_THROW(all_close(make({1.0, 2.0}, DType::f32), make({1.0, 2.0, 3.0}, DType::f32)),
               ShapeError);
}

// Nx computes in wide numbers and rounds once.
TEST(Binary, IntegersTooLargeForAHalfFloatCountInFull) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{5000}}) {
    const auto of = [&](const Number& value, DType type) {
      return broadcast(Tensor(value, type), shape);
    };
    const auto first = [](const Tensor& t) { return doubles(t)[0]; };
    const Tensor large = of(std::int64_t{100'000}, DType::s32), half = of(0.5, DType::f16);
    EXPECT_EQ(first(multiply(large, half)), 49984);
    EXPECT_EQ(first(multiply(half, large)), 49984);
    EXPECT_EQ(first(divide(large, of(2.0, DType::f16))), 49984);
    EXPECT_EQ(first(divide(half, large)), first(of(0.5e-5, DType::f16)));
    EXPECT_EQ(first(subtract(large, of(60'000.0, DType::f16))), 40'000);
    EXPECT_EQ(first(add(of(std::int64_t{-100'000}, DType::s64), of(60'000.0, DType::f16))),
              -40'000);
    EXPECT_EQ(first(pow(large, half)), first(of(316.2277, DType::f16)));
    EXPECT_EQ(first(atan2(large, of(INFINITY, DType::f16))), 0);
    const Tensor lowest = of(std::int64_t{-2147483648}, DType::s32);
    EXPECT_EQ(first(add(lowest, of(INFINITY, DType::f16))), INFINITY);
    EXPECT_EQ(first(subtract(lowest, of(-INFINITY, DType::f16))), INFINITY);
    EXPECT_EQ(first(multiply(of(std::int64_t{2049}, DType::s16), of(1.0, DType::bf16))),
              first(of(2049.0, DType::bf16)));
    EXPECT_EQ(first(multiply(of(~std::uint64_t{0}, DType::u64), of(1e-19, DType::bf16))),
              first(of(1.8446744, DType::bf16)));
    EXPECT_EQ(all_close(large, of(60'000.0, DType::f16)).item<int>(), 0);
  }
  EXPECT_EQ(doubles(dot(make({std::int64_t{100'000}}, DType::s32), make({0.5}, DType::f16)))[0],
            49984);
}

TEST(Binary, DifferencesOfLargeIntegersAndFloatsKeepTheirDigits) {
  const Tensor integer = make({std::int64_t{16'777'217}}, DType::s32);
  EXPECT_EQ(doubles(subtract(integer, make({16'777'216.0}, DType::f32)))[0], 1);
  EXPECT_EQ(doubles(add(make({-16'777'216.0}, DType::f32), integer))[0], 1);
}

}  // namespace
}  // namespace mlxnx
