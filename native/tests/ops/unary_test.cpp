// Element-wise ops of one operand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>
#include <functional>
#include <random>

#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/shape.h"
#include "ops/hard_numbers.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Complex = std::complex<double>;

// Values of both signs whose magnitudes are spread evenly over the powers of two of [low, high].
std::vector<Number> spread(double low, double high, bool both_signs) {
  std::mt19937 generator(11);
  std::uniform_real_distribution<double> exponent(std::log2(low), std::log2(high));
  std::vector<Number> values;
  for (int i = 0; i < 3000; ++i) {
    const double magnitude = std::exp2(exponent(generator));
    values.emplace_back(both_signs && i % 2 == 1 ? -magnitude : magnitude);
  }
  return values;
}

struct AccuracyCase {
  const char* op;
  double (*reference)(double);
  double low, high;
  bool both_signs;
  double absolute_below;  // where the function is near zero, its error is measured against this
};

constexpr AccuracyCase kAccuracy[] = {
    {"acos", std::acos, 1e-9, 1, true, 1e-3},
    {"acosh", std::acosh, 1, 1e30, false, 0},
    {"asin", std::asin, 1e-9, 1, true, 0},
    {"asinh", std::asinh, 1e-9, 1e30, true, 0},
    {"atan", std::atan, 1e-9, 1e30, true, 0},
    {"atanh", std::atanh, 1e-9, 1, true, 0},
    {"cbrt", std::cbrt, 1e-30, 1e30, true, 0},
    {"cos", std::cos, 1e-9, 1e30, true, 1},
    {"cosh", std::cosh, 1e-9, 85, true, 0},
    {"erf", std::erf, 1e-9, 30, true, 0},
    {"erfc", std::erfc, 1e-9, 9, true, 0},
    {"exp", [](double x) { return std::exp(x); }, 1e-9, 85, true, 0},
    {"expm1", std::expm1, 1e-9, 85, true, 0},
    {"log", std::log, 1e-30, 1e30, false, 0},
    {"log1p", std::log1p, 1e-9, 1e30, false, 0},
    {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1e-30, 1e30, false, 0},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, 1e-9, 85, true, 0},
    {"sin", std::sin, 1e-9, 1e30, true, 0},
    {"sinh", std::sinh, 1e-9, 85, true, 0},
    {"sqrt", std::sqrt, 1e-30, 1e30, false, 0},
    {"tan", std::tan, 1e-9, 1e30, true, 0},
    {"tanh", std::tanh, 1e-9, 85, true, 0},
};

// The largest error of `row` in `type`, relative to the exact result of the rounded argument.
double largest_error(const AccuracyCase& row, DType type) {
  const Tensor x = make(spread(row.low, row.high, row.both_signs), type);
  const auto arguments = doubles(x);
  const auto got = doubles(call(row.op, x));
  const double least = type == DType::f16 ? 0x1p-14 : 0;  // under it f16 has fewer digits
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double expected = row.reference(arguments[i]);
    if (expected == got[i] || (std::isnan(expected) && std::isnan(got[i]))) continue;
    const double scale = std::max({std::abs(expected), row.absolute_below, least});
    const double error = std::abs(got[i] - expected) / scale;
    if (!(error <= worst)) worst = error;  // NaN, too, is an error;
  }
  return worst;
}

TEST(Unary, FunctionsAreAccurateInF64OverWideRanges) {
  for (const AccuracyCase& row : kAccuracy)
    EXPECT_LE(largest_error(row, DType::f64), 2e-13) << row.op;
}

TEST(Unary, FunctionsAreAccurateInF32OverWideRanges) {
  for (const AccuracyCase& row : kAccuracy)
    EXPECT_LE(largest_error(row, DType::f32), 5e-6) << row.op;
}

TEST(Unary, F64FunctionsAreGoodToTheLastDigits) {
  constexpr AccuracyCase kLastDigits[] = {
      {"exp", [](double x) { return std::exp(x); }, 1e-9, 700, true, 0},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, 1e-9, 700, true, 0},
      {"erf", std::erf, 1e-9, 30, true, 0},
      {"erfc", std::erfc, 1e-9, 2, true, 0},
      {"cos", std::cos, 1e-9, 1e30, true, 1},
  };
  constexpr double kThreeUlps = 0x1.8p-51;
  for (const AccuracyCase& row : kLastDigits)
    EXPECT_LE(largest_error(row, DType::f64), kThreeUlps) << row.op;
  const Tensor x = make({1.0, 2.0}, DType::f64);
  EXPECT_THAT(doubles(erfc(x)), testing::ElementsAre(0.15729920705028513, 0.004677734981047265));
}

#if !defined(__aarch64__) && !defined(__APPLE__)
TEST(Unary, ExpInF32IsGoodToTwoUnits) {
  const Tensor x = make(spread(1e-3, 85, true), DType::f32);
  const auto arguments = doubles(x);
  const auto got = exp(x).to_vector<float>();
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], std::exp(arguments[i]), 2 * 0x1p-23 * std::exp(arguments[i]))
        << arguments[i];
}
#endif

TEST(Unary, FunctionsAreAccurateInHalfFloats) {
  for (AccuracyCase row : kAccuracy) {
    row.low = std::max(row.low, 1e-3);
    row.high = std::min(row.high, 8.0);
    EXPECT_LE(largest_error(row, DType::f16), 4e-3) << row.op;
    EXPECT_LE(largest_error(row, DType::bf16), 2e-2) << row.op;
  }
}

TEST(Unary, ErfInvAnswersAsNxsReference) {
  const Tensor x =
      make({0.5204998778130465, -0.5204998778130465, 0.0, 1.0, -1.0, 2.0, NAN}, DType::f64);
  const auto got = doubles(erf_inv(x));
  EXPECT_DOUBLE_EQ(got[0], 0.5000000069276399);
  EXPECT_DOUBLE_EQ(got[1], -0.5000000069276399);
  EXPECT_EQ(got[2], 0);
  EXPECT_EQ(got[3], INFINITY);
  EXPECT_EQ(got[4], -INFINITY);
  EXPECT_TRUE(std::isnan(got[5]) && std::isnan(got[6]));
  const auto round_trip = doubles(erf(erf_inv(make(spread(1e-4, 0.9999, true), DType::f32))));
  const auto expected = doubles(make(spread(1e-4, 0.9999, true), DType::f32));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(round_trip[i] / expected[i], 1, 2e-6) << expected[i];
}

struct SpecialCase {
  const char* op;
  double x;
  double expected;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

constexpr SpecialCase kSpecial[] = {
    {"exp", -kInf, 0},
    {"exp", kInf, kInf},
    {"exp", -1000, 0},
    {"exp", 1000, kInf},
    {"expm1", -kInf, -1},
    {"log", 0, -kInf},
    {"log", kInf, kInf},
    {"log", -1, kNaN},
    {"log1p", -1, -kInf},
    {"sqrt", -1, kNaN},
    {"rsqrt", 0, kInf},
    {"rsqrt", kInf, 0},
    {"cbrt", -kInf, -kInf},
    {"cbrt", -8, -2},
    {"cbrt", 0, 0},
    {"sigmoid", kInf, 1},
    {"sigmoid", -kInf, 0},
    {"sigmoid", -1000, 0},
    {"sigmoid", 1000, 1},
    {"sin", kInf, kNaN},
    {"cos", -kInf, kNaN},
    {"tan", kInf, kNaN},
    {"sin", 0, 0},
    {"cos", 0, 1},
    {"atan", -kInf, -1.5707963267948966},
    {"tanh", kInf, 1},
    {"tanh", -1000, -1},
    {"erf", kInf, 1},
    {"erf", -kInf, -1},
    {"erf", 0, 0},
    {"erfc", kInf, 0},
    {"erfc", -kInf, 2},
    {"erfc", 0, 1},
    {"floor", -0.5, -1},
    {"ceil", -0.5, 0},
    {"floor", kInf, kInf},
    {"round", 0.5, 1},
    {"round", -0.5, -1},
    {"round", 2.5, 3},
    {"round", -2.5, -3},
    {"round", 0.49, 0},
    {"round", kInf, kInf},
    {"abs", -kInf, kInf},
    {"sign", -3, -1},
    {"sign", 3, 1},
    {"sign", 0, 0},
    {"sign", -kInf, 1},
    {"sign", kNaN, 1},
    {"negate", kInf, -kInf},
    {"acos", 2, kNaN},
    {"atanh", 1, kInf},
};

TEST(Unary, SpecialValuesAreThoseOfNxInEveryFloat) {
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
    for (const SpecialCase& row : kSpecial) {
      const double got = doubles(call(row.op, make({row.x}, type, {})))[0];
      const double rounded = doubles(make({row.expected}, type))[0];
      EXPECT_TRUE(got == rounded || (std::isnan(got) && std::isnan(rounded)))
          << row.op << " of " << row.x << " in " << name(type) << " is " << got;
    }
  }
}

TEST(Unary, NanGoesThroughEveryFloatFunction) {
  for (const AccuracyCase& row : kAccuracy) {
    for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::f64})
      EXPECT_TRUE(std::isnan(doubles(call(row.op, make({NAN}, type)))[0])) << row.op;
  }
}

TEST(Unary, RoundIsNotFooledByTheLargestFloatUnderAHalfOrByOddLargeOnes) {
  const Tensor f64 =
      make({0.49999999999999994, 4503599627370497.0, -4503599627370495.5}, DType::f64);
  EXPECT_THAT(round(f64).to_vector<double>(),
              ElementsAre(0.0, 4503599627370497.0, -4503599627370496.0));
  const Tensor f32 = make({0.49999997, 8388609.0}, DType::f32);
  EXPECT_THAT(round(f32).to_vector<float>(), ElementsAre(0.0F, 8388609.0F));
}

TEST(Unary, TrigonometryDoesNotRoundWideIntegersFirst) {
  const std::int64_t n = 123456789;
  EXPECT_NEAR(sin(Tensor(Number(n), DType::s32)).item<float>(), std::sin(123456789.0), 1e-6);
  EXPECT_NEAR(cos(Tensor(Number(n), DType::u32)).item<float>(), std::cos(123456789.0), 1e-6);
  EXPECT_NEAR(tan(Tensor(Number(n), DType::s64)).item<float>(), std::tan(123456789.0), 1e-6);
  EXPECT_NEAR(sin(Tensor(Number(~std::uint64_t{0}), DType::u64)).item<float>(), std::sin(0x1p64),
              1e-6);
}

TEST(Unary, RoundingAndSignsLeaveIntegersAlone) {
  for (const DType type : kDTypes) {
    if (!is_integer(type)) continue;
    const Tensor x = make(hard_numbers(type), type);
    for (const char* op : {"ceil", "floor", "round"})
      EXPECT_EQ(call(op, x).to_bytes(), x.to_bytes()) << op << " of " << name(type);
    const auto values = doubles(x);
    const auto signs = doubles(sign(x));
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(signs[i], (values[i] > 0) - (values[i] < 0)) << name(type);
  }
}

TEST(Unary, IntegersWrapInAbsAndNegate) {
  const Tensor x = make({std::int64_t{-128}, std::int64_t{-1}, std::int64_t{127}}, DType::s8);
  EXPECT_THAT(abs(x).to_vector<std::int8_t>(), ElementsAre(-128, 1, 127));
  EXPECT_THAT(negate(x).to_vector<std::int8_t>(), ElementsAre(-128, 1, -127));
  const Tensor u = make({std::int64_t{0}, std::int64_t{1}, std::int64_t{255}}, DType::u8);
  EXPECT_THAT(negate(u).to_vector<std::uint8_t>(), ElementsAre(0, 255, 1));
  const Tensor lowest = make({std::numeric_limits<std::int64_t>::min()}, DType::s64);
  EXPECT_EQ(abs(lowest).to_bytes(), lowest.to_bytes());
}

// Nx's formulas in double arithmetic; they decide the side of every branch cut.
Complex minus_i_times(Complex z) { return {z.imag(), -z.real()}; }
Complex nx_sqrt(Complex z) {
  // As if -0 were 0.
  return std::sqrt(z.imag() == 0 ? Complex(z.real(), 0) : z);
}
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.imag() * b.real() + a.real() * b.imag()};
}
Complex less_one(Complex z) { return {z.real() - 1, z.imag()}; }
Complex one_plus(Complex z) { return {1 + z.real(), 0 + z.imag()}; }
Complex one_minus(Complex z) { return {1 - z.real(), 0 - z.imag()}; }
Complex over(Complex a, Complex b) {
  const double norm = b.real() * b.real() + b.imag() * b.imag();
  return {(a.real() * b.real() + a.imag() * b.imag()) / norm,
          (a.imag() * b.real() - a.real() * b.imag()) / norm};
}

struct ComplexCase {
  const char* op;
  std::function<Complex(Complex)> reference;
};

const ComplexCase kComplex[] = {
    {"acos", [](Complex z) { return minus_i_times(std::log(z + nx_sqrt(less_one(times(z, z))))); }},
    {"acosh", [](Complex z) { return std::log(z + nx_sqrt(less_one(times(z, z)))); }},
    {"asin",
     [](Complex z) {
       const Complex turned(-z.imag(), z.real());
       return minus_i_times(std::log(turned + nx_sqrt(one_minus(times(z, z)))));
     }},
    {"asinh", [](Complex z) { return std::log(z + nx_sqrt(one_plus(times(z, z)))); }},
    {"atan",
     [](Complex z) {
       const Complex turned(-z.imag(), z.real());
       const Complex d = std::log(one_minus(turned)) - std::log(one_plus(turned));
       return Complex(-d.imag() / 2, d.real() / 2);
     }},
    {"atanh", [](Complex z) { return 0.5 * std::log(over(one_plus(z), one_minus(z))); }},
    {"cbrt", [](Complex z) { return std::polar(std::cbrt(std::abs(z)), std::arg(z) / 3); }},
    {"cos", [](Complex z) { return std::cos(z); }},
    {"cosh", [](Complex z) { return std::cosh(z); }},
    {"exp", [](Complex z) { return std::exp(z); }},
    {"expm1", [](Complex z) { return std::exp(z) - 1.0; }},
    {"log", [](Complex z) { return std::log(z); }},
    {"log1p", [](Complex z) { return std::log(z + 1.0); }},
    {"rsqrt", [](Complex z) { return 1.0 / std::sqrt(z); }},
    {"sigmoid", [](Complex z) { return 1.0 / (1.0 + std::exp(-z)); }},
    {"sin", [](Complex z) { return std::sin(z); }},
    {"sinh", [](Complex z) { return std::sinh(z); }},
    {"sqrt", [](Complex z) { return std::sqrt(z); }},
    {"tan", [](Complex z) { return std::tan(z); }},
    {"tanh", [](Complex z) { return std::tanh(z); }},
    {"negate", [](Complex z) { return -z; }},
    {"conjugate", [](Complex z) { return std::conj(z); }},
    {"sign", [](Complex) { return Complex(1, 0); }},
};

TEST(Unary, ComplexFunctionsHaveTheBranchCutsOfNx) {
  std::vector<Number> points;
  for (const double re : {-3.0, -1.5, -0.25, 0.0, 0.5, 2.0, 7.5})
    for (const double im : {-2.0, -0.75, 0.0, 0.125, 1.5, 3.0})
      if (re != 0 || im != 0) points.emplace_back(Complex(re, im));
  const Tensor z = make(points, DType::c64);
  for (const ComplexCase& row : kComplex) {
    const Tensor result = call(row.op, z);
    ASSERT_EQ(result.dtype(), DType::c64);
    const auto got = numbers(result);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const Complex point = std::get<Complex>(points[i]);
      const Complex expected = row.reference(point);
      EXPECT_LE(std::abs(std::get<Complex>(got[i]) - expected), 2e-6 * (1 + std::abs(expected)))
          << row.op << " of " << point << " is " << std::get<Complex>(got[i]);
    }
  }
}

TEST(Unary, LargeComplexArgumentsKeepTheirDigits) {
  const Tensor z = make({Complex(-1000, 0.5), Complex(3e15, -2e15)}, DType::c64);
  const auto got = numbers(asinh(z));
  EXPECT_NEAR(std::get<Complex>(got[0]).real(), -7.600902459542082, 1e-5);
  EXPECT_NEAR(std::get<Complex>(got[1]).real(), std::log(2 * std::hypot(3e15, 2e15)), 1e-5);
}

TEST(Unary, PartsOfComplexAndRealNumbers) {
  const Tensor z = make({Complex(3, -4), Complex(-1, 0)}, DType::c64);
  EXPECT_THAT(real(z).to_vector<float>(), ElementsAre(3.0F, -1.0F));
  EXPECT_THAT(imag(z).to_vector<float>(), ElementsAre(-4.0F, 0.0F));
  EXPECT_THAT(abs(z).to_vector<float>(), ElementsAre(5.0F, 1.0F));
  EXPECT_THAT(phase(z).to_vector<float>(),
              ElementsAre(testing::FloatEq(-0.9272952F), testing::FloatEq(3.1415927F)));
  const Tensor x = make({std::int64_t{-2}, std::int64_t{5}}, DType::s16);
  EXPECT_THAT(real(x).to_vector<float>(), ElementsAre(-2.0F, 5.0F));
  EXPECT_THAT(imag(x).to_vector<float>(), ElementsAre(0.0F, 0.0F));
  EXPECT_THAT(phase(x).to_vector<float>(), ElementsAre(testing::FloatEq(3.1415927F), 0.0F));
  EXPECT_EQ(imag(make({1.5}, DType::f64)).dtype(), DType::f64);
  EXPECT_EQ(conjugate(x).dtype(), DType::c64);
}

TEST(Unary, IsNanAndIsInfinityLookAtBothParts) {
  const Tensor z = make({Complex(NAN, 1), Complex(1, NAN), Complex(INFINITY, 0),
                         Complex(0, -INFINITY), Complex(3e38, 3e38)},
                        DType::c64);
  EXPECT_THAT(is_nan(z).to_vector<std::uint8_t>(), ElementsAre(1, 1, 0, 0, 0));
  EXPECT_THAT(is_infinity(z).to_vector<std::uint8_t>(), ElementsAre(0, 0, 1, 1, 0));
  const Tensor x = make({NAN, INFINITY, -INFINITY, 6e4}, DType::f16);
  EXPECT_THAT(is_nan(x).to_vector<std::uint8_t>(), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(is_infinity(x).to_vector<std::uint8_t>(), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(is_infinity(make({std::int64_t{1}}, DType::u64)).to_vector<std::uint8_t>(),
              ElementsAre(0));
}

TEST(Unary, LogicalNotOfEveryType) {
  for (const DType type : kDTypes) {
    const Tensor x = make({std::int64_t{0}, std::int64_t{1}, std::int64_t{100}}, type);
    EXPECT_THAT(logical_not(x).to_vector<std::uint8_t>(), ElementsAre(1, 0, 0)) << name(type);
    EXPECT_THAT(logical_not(logical_not(x)).to_vector<std::uint8_t>(), ElementsAre(0, 1, 1));
  }
  EXPECT_THAT(logical_not(make({NAN, -0.0}, DType::f32)).to_vector<std::uint8_t>(),
              ElementsAre(0, 1));
  EXPECT_THAT(logical_not(make({Complex(0, 2)}, DType::c64)).to_vector<std::uint8_t>(),
              ElementsAre(0));
}

TEST(Unary, BitCountsOfEveryIntegerType) {
  for (const DType type : kDTypes) {
    if (!is_integer(type)) continue;
    const Tensor x = make(hard_numbers(type), type);
    const auto leading = doubles(count_leading_zeros(x));
    const auto population = doubles(population_count(x));
    const auto inverted = numbers(bitwise_not(x));
    const auto values = numbers(x);
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint64_t bits_of = 0;
      tensors::encode(values[i], type, reinterpret_cast<std::byte*>(&bits_of));
      EXPECT_EQ(leading[i], std::countl_zero(bits_of) - (64 - bits(type)))
          << name(type) << " " << i;
      EXPECT_EQ(population[i], std::popcount(bits_of)) << name(type) << " " << i;
      std::uint64_t inverse = 0;
      tensors::encode(inverted[i], type, reinterpret_cast<std::byte*>(&inverse));
      EXPECT_EQ(inverse, ~bits_of & (~std::uint64_t{0} >> (64 - bits(type)))) << name(type);
    }
  }
}

struct TypeCase {
  std::string_view op;
  DType (*type)(DType);
};

DType floating(DType type) { return is_integer(type) ? DType::f32 : type; }
DType same(DType type) { return type; }
DType predicate(DType) { return DType::u8; }
DType real_type(DType type) { return is_float(type) ? type : DType::f32; }
DType modulus(DType type) { return is_complex(type) ? DType::f32 : type; }

TEST(Unary, ResultsHaveNxsTypesAndShapesAlsoWhenEmpty) {
  const TypeCase cases[] = {
      {"exp", floating},          {"tan", floating},     {"sign", same},
      {"negate", same},           {"is_nan", predicate}, {"real", real_type},
      {"imag", real_type},        {"abs", modulus},      {"sigmoid", floating},
      {"acos", floating},         {"cbrt", floating},    {"block:LogicalNot", predicate},
      {"block:Phase", real_type}, {"sin", floating}};
  for (const TypeCase& row : cases) {
    for (const DType type : kDTypes) {
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 0, 3}, Shape{1, 2}}) {
        const std::vector<Number> values(static_cast<std::size_t>(element_count(shape)),
                                         Number(std::int64_t{0}));
        const Tensor result = call(row.op, make(values, type, shape));
        EXPECT_EQ(result.dtype(), row.type(type)) << row.op << " of " << name(type);
        EXPECT_EQ(result.shape(), shape) << row.op;
        EXPECT_EQ(result.to_bytes().size(), result.byte_size()) << row.op;
      }
    }
  }
}

TEST(Unary, EveryRowTakesItsTypesAndRefusesTheOthers) {
  for (const ops::OpDef* row : ops::all_ops()) {
    if (row->group != ops::Group::kUnary) continue;
    for (const DType type : kDTypes) {
      const Tensor x = make({std::int64_t{0}, std::int64_t{1}}, type);
      try {
        EXPECT_EQ(ops::invoke(*row, {x}).to_bytes().size() % 2, 0U) << row->name;
      } catch (const TypeError& error) {
        EXPECT_THAT(error.what(), HasSubstr(std::string(row->name))) << row->name;
        EXPECT_TRUE(is_complex(type) || is_float(type)) << row->name << " of " << name(type);
      } catch (const UnsupportedError& error) {
        EXPECT_EQ(row->name, "conjugate");
        EXPECT_EQ(type, DType::f64);
      }
    }
  }
}

// What MLX stores with strides, some negative or zero, is computed like what lies in rows.
TEST(Elementwise, StridedOperandsGiveTheSameResults) {
  for (const ops::OpDef* row : ops::all_ops()) {
    if (row->group != ops::Group::kUnary && row->group != ops::Group::kBinary) continue;
    for (const DType type : kDTypes) {
      const Tensor x = make({std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, std::int64_t{7},
                             std::int64_t{8}, std::int64_t{100}},
                            type, {2, 3});
      const Tensor strided = broadcast(reverse(transpose(x)), {2, 3, 2});
      const Tensor in_rows = Tensor::from_bytes(strided.to_bytes(), strided.type());
      try {
        const bool is_unary = row->group == ops::Group::kUnary;
        const Tensor got =
            is_unary ? ops::invoke(*row, {strided}) : ops::invoke(*row, {strided, strided});
        const Tensor expected =
            is_unary ? ops::invoke(*row, {in_rows}) : ops::invoke(*row, {in_rows, in_rows});
        EXPECT_EQ(got.to_bytes(), expected.to_bytes()) << row->name << " of " << name(type);
      } catch (const TypeError&) {
      } catch (const UnsupportedError&) {
      }
    }
  }
}

TEST(Unary, ErrorsNameTheOpAndTheType) {
  const Tensor z = make({Complex(1, 1)}, DType::c64);
  try {
    erf(z);
    FAIL();
  } catch (const TypeError& error) {
    EXPECT_STREQ(error.what(), "[erf] does not take complex tensors, got c64[1]");
  }
  try {
    bitwise_not(make({1.0, 2.0}, DType::f32));
    FAIL();
  } catch (const TypeError& error) {
    EXPECT_STREQ(error.what(), "[bitwise_not] takes integer tensors, got f32[2]");
  }
}

}  // namespace
}  // namespace mlxnx
