// Kernels of single elements, held to the same in doubles, and programs of them, held to their
// steps element by element.
#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "files/half.h"
#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using ElementwiseKernels = testing_support::EachKind;
using enum Function;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kLengths[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 576, 1023, 1100};

double plain_round(double x) { return std::round(x); }
double plain_sign(double x) { return (x > 0) - (x < 0); }
double plain_square(double x) { return x * x; }
double plain_rsqrt(double x) { return 1 / std::sqrt(x); }
double plain_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double plain_remainder(double x, double y) {
  const double rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
double plain_maximum(double x, double y) {
  return std::isnan(x) || std::isnan(y) ? kNaN : std::max(x, y);
}
double plain_minimum(double x, double y) {
  return std::isnan(x) || std::isnan(y) ? kNaN : std::min(x, y);
}

double plain_erfinv(double y) {
  if (!(std::abs(y) < 1)) return std::abs(y) == 1 ? y * kInfinity : kNaN;
  if (std::abs(y) < 1e-4) return y * (std::sqrt(M_PI) / 2) * (1 + M_PI / 12 * y * y);
  double low = -6, high = 6;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (std::erf(middle) < y ? low : high) = middle;
  }
  return low;
}

struct UnaryCase {
  Function function;
  double (*plain)(double);
  double units = 0.5;  // in the last place of f32
};
const UnaryCase kUnary[] = {
    {k_abs, std::abs},           {k_arccos, std::acos, 2},
    {k_arccosh, std::acosh, 4},  {k_arcsin, std::asin, 2},
    {k_arcsinh, std::asinh, 4},  {k_arctan, std::atan, 2},
    {k_arctanh, std::atanh, 4},  {k_cbrt, std::cbrt, 2},
    {k_ceil, std::ceil},         {k_cos, std::cos, 2},
    {k_cosh, std::cosh, 2},      {k_erf, std::erf, 4},
    {k_erfc, std::erfc, 4},      {k_exp, std::exp, 2},
    {k_expm1, std::expm1, 2},    {k_floor, std::floor},
    {k_log, std::log, 2},        {k_log1p, std::log1p, 2},
    {k_log2, std::log2, 2},      {k_round, plain_round},
    {k_rsqrt, plain_rsqrt, 1.5}, {k_sigmoid, plain_sigmoid, 2},
    {k_sign, plain_sign},        {k_sin, std::sin, 2},
    {k_sinh, std::sinh, 4},      {k_sqrt, std::sqrt},
    {k_square, plain_square},    {k_tan, std::tan, 2},
    {k_tanh, std::tanh, 4},      {k_erf_inv, plain_erfinv, 4},
};

struct BinaryCase {
  Function function;
  double (*plain)(double, double);
  double units = 0.5;
};
const BinaryCase kBinary[] = {
    {k_add, [](double x, double y) { return x + y; }},
    {k_arctan2, std::atan2, 2},
    {k_divide, [](double x, double y) { return x / y; }},
    {k_maximum, plain_maximum},
    {k_minimum, plain_minimum},
    {k_multiply, [](double x, double y) { return x * y; }},
    {k_power, std::pow, 2},
    {k_remainder, plain_remainder},
    {k_subtract, [](double x, double y) { return x - y; }},
};

// Those that are hard for some function.
constexpr float kHard[] = {0.0F,  -0.0F,  1.0F,   -1.0F,  0.5F,  -0.5F,    0.49999997F, 1e-40F,
                           88.7F, 89.0F,  -87.5F, -104.F, 1e30F, -1e30F,   0.625F,      3e-38F,
                           1e6F,  8.5e5F, -2e7F,  3.5F,   -2.5F, INFINITY, -INFINITY,   NAN};

// Numbers of many sizes, and hard ones.
std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::uniform_int_distribution<int> power(-6, 3);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = i % 3 == 0 ? kHard[(i / 3 + seed) % std::size(kHard)]
                           : normal(random) * std::pow(10.0F, static_cast<float>(power(random)));
  return values;
}

// The distance in units in the last place of f32; 0 for two NaN, infinite for zeros of two signs.
double distance(float got, double expected) {
  if (std::isnan(expected)) return std::isnan(got) ? 0 : kInfinity;
  const auto nearest = static_cast<float>(expected);
  if (got == nearest) return std::signbit(got) == std::signbit(nearest) ? 0 : kInfinity;
  if (std::isinf(nearest) || std::isinf(got)) return kInfinity;
  const float above = std::nextafter(std::abs(nearest), INFINITY);
  return std::abs(static_cast<double>(got) - expected) /
         static_cast<double>(above - std::abs(nearest));
}

TEST_F(ElementwiseKernels, FunctionsOfOneFloatAreGoodToTheLastDigits) {
  for_each_kind([] {
    for (const UnaryCase& row : kUnary) {
      const Kernel kernel = kernel_of(row.function, Type::kF32);
      ASSERT_NE(kernel, nullptr);
      for (const std::size_t length : kLengths) {
        const std::vector<float> all = numbers(length + 1, static_cast<unsigned>(length));
        const float* const x = all.data() + 1;  // aligned to nothing
        std::vector<float> out(length + 2, 7.0F);
        const void* const operands[] = {x};
        kernel(operands, out.data() + 1, length);
        EXPECT_EQ(out.front(), 7.0F);
        EXPECT_EQ(out.back(), 7.0F);
        for (std::size_t i = 0; i < length; ++i) {
          EXPECT_LE(distance(out[i + 1], row.plain(static_cast<double>(x[i]))), row.units)
              << "function " << static_cast<int>(row.function) << " of " << x[i] << " is "
              << out[i + 1];
        }
      }
    }
  });
}

TEST_F(ElementwiseKernels, FunctionsOfTwoFloatsAreGoodToTheLastDigits) {
  for_each_kind([] {
    for (const BinaryCase& row : kBinary) {
      const Kernel kernel = kernel_of(row.function, Type::kF32);
      for (const std::size_t length : kLengths) {
        const std::vector<float> x = numbers(length, 5), y = numbers(length, 9);
        std::vector<float> out(x);
        const void* const operands[] = {out.data(), y.data()};  // over an operand
        kernel(operands, out.data(), length);
        for (std::size_t i = 0; i < length; ++i) {
          const double a = static_cast<double>(x[i]), b = static_cast<double>(y[i]);
          EXPECT_LE(distance(out[i], row.plain(a, b)), row.units)
              << "function " << static_cast<int>(row.function) << " of " << a << " and " << b
              << " is " << out[i];
        }
      }
    }
  });
}

TEST_F(ElementwiseKernels, SingleOperandsCountForAllResults) {
  for_each_kind([] {
    std::vector<float> singles = {0.9F, 3.0F, -0.7F, 1.0F, 0x1p-10F, 0x1.fffffep-3F, 0x1.fffffep9F};
    singles.insert(singles.end(), std::begin(kHard), std::end(kHard));
    for (const BinaryCase& row : kBinary) {
      for (const Single place : {Single::kFirst, Single::kSecond}) {
        const Kernel kernel = kernel_of(row.function, Type::kF32, place);
        if (kernel == nullptr) continue;
        for (const float single : singles) {
          const std::vector<float> x = numbers(1100, 5), y(x.size(), single);
          std::vector<float> expected(x.size()), out(x);
          const bool is_first = place == Single::kFirst;
          const void* const all[] = {is_first ? y.data() : x.data(),
                                     is_first ? x.data() : y.data()};
          kernel_of(row.function, Type::kF32)(all, expected.data(), x.size());
          const void* const operands[] = {is_first ? &single : out.data(),
                                          is_first ? out.data() : &single};
          kernel(operands, out.data(), out.size());
          for (std::size_t i = 0; i < x.size(); ++i)
            ASSERT_EQ(distance(out[i], static_cast<double>(expected[i])), 0)
                << "function " << static_cast<int>(row.function) << " of " << x[i] << " and "
                << single << " is " << out[i];
        }
      }
    }
  });
}

TEST_F(ElementwiseKernels, QuotientsByASingleDivisorAreRoundedOnce) {
  for_each_kind([] {
    const Kernel kernel = kernel_of(k_divide, Type::kF32, Single::kSecond);
    std::mt19937 random(11);
    std::vector<float> x(1 << 16);
    for (int round = 0; round < 64; ++round) {
      // Any bits, the most and the fewest among them.
      const auto bits = [&random] { return static_cast<std::uint32_t>(random()); };
      const auto from_one_to_two = [](std::uint32_t significand) {
        return std::bit_cast<float>(0x3f800000U | (significand & 0x7fffffU));
      };
      constexpr std::uint32_t kEnds[] = {0, 1, 0x7fffff, 0x7ffffe};
      const float divisor =
          std::ldexp(from_one_to_two(round < 4 ? kEnds[round] : bits()), round % 60 - 30);
      for (float& value : x)
        value = round % 2 == 0 ? std::bit_cast<float>(bits()) : from_one_to_two(bits());
      std::vector<float> out(x.size());
      const void* const operands[] = {x.data(), &divisor};
      kernel(operands, out.data(), out.size());
      for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(distance(out[i], static_cast<double>(x[i] / divisor)), 0)
            << x[i] << " / " << divisor << " is " << out[i];
    }
  });
}

template <typename T>
void check_integers(Type type) {
  std::mt19937_64 random(3);
  std::vector<T> x, y;
  for (int i = 0; i < 333; ++i) {
    x.push_back(static_cast<T>(random()));
    y.push_back(static_cast<T>(i % 4 == 0 ? i % 3 - 1 : random()));
  }
  x[4] = std::numeric_limits<T>::lowest();
  y[4] = static_cast<T>(-1);
  const auto of = [&](Function function, auto plain) {
    std::vector<T> out(x.size());
    const void* const operands[] = {x.data(), y.data()};
    kernel_of(function, type)(operands, out.data(), out.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(out[i], static_cast<T>(plain(x[i], y[i])))
          << static_cast<int>(function) << " of " << +x[i] << " and " << +y[i];
  };
  // In 128 bits nothing overflows but products.
  using Wide = __int128;
  of(k_add, [](T a, T b) { return Wide{a} + b; });
  of(k_subtract, [](T a, T b) { return Wide{a} - b; });
  of(k_multiply, [](T a, T b) {
    return static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b));
  });
  of(k_negative, [](T a, T) { return -Wide{a}; });
  of(k_abs, [](T a, T) { return a < 0 ? -Wide{a} : Wide{a}; });
  of(k_bitwise_xor, [](T a, T b) { return a ^ b; });
  of(k_maximum, [](T a, T b) { return std::max(a, b); });
  of(k_floor_divide, [](T a, T b) -> Wide {
    if (b == 0) return 0;
    const Wide quotient = Wide{a} / b;
    return Wide{a} % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
  });
  of(k_remainder, [](T a, T b) -> Wide {
    if (b == 0) return 0;
    const Wide rest = Wide{a} % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  });
  of(k_left_shift, [](T a, T b) {
    return static_cast<Wide>(static_cast<unsigned __int128>(a) << (b & T(8 * sizeof(T) - 1)));
  });
  of(k_right_shift, [](T a, T b) { return Wide{a} >> (b & T(8 * sizeof(T) - 1)); });
}

TEST_F(ElementwiseKernels, IntegersWrapAndNeverTrap) {
  for_each_kind([] {
    check_integers<std::uint8_t>(Type::kU8);
    check_integers<std::uint16_t>(Type::kU16);
    check_integers<std::uint32_t>(Type::kU32);
    check_integers<std::uint64_t>(Type::kU64);
    check_integers<std::int8_t>(Type::kS8);
    check_integers<std::int16_t>(Type::kS16);
    check_integers<std::int32_t>(Type::kS32);
    check_integers<std::int64_t>(Type::kS64);
  });
}

// Rows of 5 by 7 by `last`, an input of each kind of layout, and a program that uses them all.
struct Tiles {
  std::vector<std::int64_t> shape;
  std::vector<float> whole, swapped, row, column;
  std::vector<std::uint16_t> half;
  float number = 0.75F;

  explicit Tiles(std::int64_t last) : shape{5, 7, last} {
    const auto count = static_cast<std::size_t>(35 * last);
    const auto of = [](std::size_t size, unsigned seed) {
      std::mt19937 random(seed);
      std::normal_distribution<float> normal(0, 1);
      std::vector<float> values(size);
      for (float& value : values) value = normal(random);
      return values;
    };
    whole = of(count, 1);
    swapped = of(count, 2);
    row = of(static_cast<std::size_t>(last), 3);
    column = of(7, 4);
    for (const float value : of(count, 5)) half.push_back(files::f32_as_bf16(value));
  }

  static Program program() {
    const auto step = [](Function function, std::uint16_t a, std::uint16_t b = 0,
                         std::uint16_t c = 0) {
      return Step{function, Type::kF32, result_type(function, Type::kF32), {a, b, c}};
    };
    Program program;
    program.inputs = {Type::kF32, Type::kF32, Type::kF32, Type::kF32, Type::kBf16, Type::kF32};
    program.steps = {
        step(k_multiply, 0, 2),                              // 6: whole * row
        step(k_add, 6, 3),                                   // 7: + column
        step(k_exp, 1),                                      // 8: of swapped axes
        Step{k_cast, Type::kBf16, Type::kF32, {4}},          // 9
        step(k_less, 7, 9),                                  // 10: a mask
        step(k_select, 10, 8, 5),                            // 11: or the number
        Step{k_multiply, Type::kBf16, Type::kBf16, {4, 4}},  // 12: rounded
        step(k_subtract, 11, 7),                             // 13
    };
    program.results = {13, 12, 10};
    return program;
  }

  std::vector<std::vector<std::int64_t>> strides() const {
    const std::int64_t last = shape[2];
    return {{7 * last, last, 1}, {1, 5, 35}, {0, 0, 1}, {0, 1, 0}, {7 * last, last, 1}, {0, 0, 0}};
  }
  std::vector<const void*> data() const {
    return {whole.data(), swapped.data(), row.data(), column.data(), half.data(), &number};
  }

  // What element `at` of the results is.
  std::tuple<float, std::uint16_t, bool> expected(std::int64_t at) const {
    const std::int64_t last = shape[2];
    const auto i = static_cast<std::size_t>(at / last / 7),
               j = static_cast<std::size_t>(at / last % 7), k = static_cast<std::size_t>(at % last);
    const float turned = swapped[i + 5 * j + 35 * k];
    float power;
    const void* const operand[] = {&turned};
    kernel_of(k_exp, Type::kF32)(operand, &power, 1);
    const float product = whole[static_cast<std::size_t>(at)] * row[k];
    const float sum = product + column[j];
    const float small = files::bf16_as_f32(half[static_cast<std::size_t>(at)]);
    const bool mask = sum < small;
    return {(mask ? power : number) - sum, files::f32_as_bf16(small * small), mask};
  }
};

TEST_F(ElementwiseKernels, ProgramsComputeTheirStepsWhateverTheLayouts) {
  for_each_kind([] {
    for (const std::int64_t last : {1, 3, 63, 64, 200, 1100, 3000}) {
      const Tiles tiles(last);
      const TilePlan plan(Tiles::program());
      const auto strides = tiles.strides();
      const auto data = tiles.data();
      std::vector<ProgramInput> inputs;
      for (std::size_t i = 0; i < data.size(); ++i) inputs.push_back({data[i], strides[i]});
      const auto count = static_cast<std::size_t>(35 * last);
      std::vector<float> first(count, NAN);
      std::vector<std::uint16_t> second(count);
      std::vector<std::uint8_t> third(count);
      void* const results[] = {first.data(), second.data(), third.data()};
      // In two parts, as threads would.
      const auto cut = static_cast<std::int64_t>(count) / 3;
      plan.run(tiles.shape, inputs, results, 0, cut);
      plan.run(tiles.shape, inputs, results, cut, static_cast<std::int64_t>(count) - cut);
      for (std::size_t at = 0; at < count; ++at) {
        const auto [number, half, mask] = tiles.expected(static_cast<std::int64_t>(at));
        ASSERT_EQ(first[at], number) << at << " of " << last;
        ASSERT_EQ(second[at], half) << at << " of " << last;
        ASSERT_EQ(third[at], mask) << at << " of " << last;
      }
    }
  });
}

TEST_F(ElementwiseKernels, ResultsMayBeTheMemoryOfInputs) {
  // x and y of 3000: x - y over x, then x * y over y, where x is read after the first is made.
  Program program;
  program.inputs = {Type::kF32, Type::kF32};
  program.steps = {{k_subtract, Type::kF32, Type::kF32, {0, 1}},
                   {k_multiply, Type::kF32, Type::kF32, {0, 1}}};
  program.results = {2, 3};
  const TilePlan plan(program);
  EXPECT_FALSE(plan.may_be_over(0, 0));
  EXPECT_TRUE(plan.may_be_over(1, 0));
  std::vector<float> x(3000), y(3000);
  std::iota(x.begin(), x.end(), 1.0F);
  std::iota(y.begin(), y.end(), -5.0F);
  const std::int64_t shape[] = {3000}, strides[] = {1};
  const ProgramInput inputs[] = {{x.data(), strides}, {y.data(), strides}};
  void* const results[] = {x.data(), y.data()};
  plan.run(shape, inputs, results, 0, 3000);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(x[static_cast<std::size_t>(i)], 6.0F);
    ASSERT_EQ(y[static_cast<std::size_t>(i)], static_cast<float>((i + 1) * (i - 5)));
  }
}

}  // namespace
}  // namespace mlxnx::kernels
