// Long sums and products of floats err by a few units in the last place, whatever is summed along
// and however it lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing_support::elements;

/// How far `got` is from `exact`, in units of the last place of an f32 of its size.
double units(double got, double exact) {
  return std::abs(got - exact) / std::ldexp(1.0, std::ilogb(exact) - 23);
}

constexpr double kFew = 30;

Tensor constants(const Shape& shape, float value) {
  return Tensor::from_span<float>(
      std::vector<float>(static_cast<std::size_t>(element_count(shape)), value), shape);
}

Shape reversed_shape(Shape shape) {
  std::reverse(shape.begin(), shape.end());
  return shape;
}

/// All elements of `tensor` are `exact` but for a few units.
void expect_near(const Tensor& tensor, double exact, const std::string& what) {
  double worst = 0;
  for (const double got : elements(tensor)) worst = std::max(worst, units(got, exact));
  EXPECT_LE(worst, kFew) << what << " of " << exact;
}

TEST(LargePrecision, SumsOfTenMillionErrByFewUnits) {
  for (const float value : {0.1f, 0.6f, 1.7f}) {
    for (const std::int64_t count : {10'000'000, 9'999'991})
      expect_near(sum(constants({count}, value)), static_cast<double>(count) * value, "sum");
  }
}

TEST(LargePrecision, SumsErrByFewUnitsAlongAllAxesOfAllLayouts) {
  const Shape shapes[] = {{500'009},       {2, 250'007},   {250'007, 2},   {1000, 700},
                          {997, 1009},     {3, 333'331},   {333'331, 3},   {70, 80, 90},
                          {4, 20'000, 5},  {20'000, 4, 5}, {4, 5, 20'000}, {30, 1, 9973},
                          {12, 13, 60, 61}};
  for (const Shape& shape : shapes) {
    const auto rank = static_cast<std::int64_t>(shape.size());
    const Tensor rows = constants(shape, 0.1f);
    const Tensor reversed = transpose(constants(reversed_shape(shape), 0.1f));
    for (unsigned chosen = 1; chosen < 1u << rank; ++chosen) {
      Axes axes;
      double exact = 0.1f;
      for (std::int64_t axis = 0; axis < rank; ++axis) {
        if ((chosen >> axis & 1) == 0) continue;
        axes.push_back(axis);
        exact *= static_cast<double>(shape[static_cast<std::size_t>(axis)]);
      }
      const std::string what = to_string(shape) + " along " + to_string(axes);
      expect_near(sum(rows, {.axes = axes}), exact, what);
      expect_near(sum(reversed, {.axes = axes, .keep_axes = true}), exact, what + ", reversed");
    }
  }
}

TEST(LargePrecision, SumsOfViewsErrByFewUnits) {
  const Tensor base = constants({600, 2002}, 0.1f);
  const Tensor strided = slice(base, {0, 1}, {600, 2000}, {.strides = Axes{1, 2}});
  expect_near(sum(strided), 0.1f * 600.0 * 1000, "a strided slice");
  expect_near(sum(strided, {.axes = Axes{1}}), 0.1f * 1000.0, "rows of a strided slice");
  const Tensor repeated = broadcast(tensor({0.1f, 0.1f}), {300'000, 2});
  expect_near(sum(repeated, {.axes = Axes{0}}), 0.1f * 300'000.0, "a broadcast");
  expect_near(sum(reverse(base), {.axes = Axes{0}}), 0.1f * 600.0, "a reversed tensor");
}

TEST(LargePrecision, SumsOfOtherFloatsErrByFewUnits) {
  const std::vector<double> values(400'003, 0.1);
  const double exact = 0.1 * 400'003.0;
  const Tensor f64 = sum(testing_support::numbers(DType::f64, {400'003}, values));
  EXPECT_NEAR(f64.item<double>(), exact, 1e-14 * exact);
  const Tensor bf16 = testing_support::numbers(DType::bf16, {400'003}, values);
  expect_near(as_type(sum(as_type(bf16, DType::f32)), DType::f32), elements(bf16)[0] * 400'003.0,
              "bf16");
  EXPECT_EQ(sum(bf16).item<double>(),
            as_type(Tensor(elements(bf16)[0] * 400'003.0, DType::f64), DType::bf16).item<double>());
  const std::vector<std::complex<float>> numbers(100'003, {0.1f, -0.7f});
  const Tensor c64 = Tensor::from_span<std::complex<float>>(numbers, {100'003});
  const auto total = sum(c64).item<std::complex<double>>();
  EXPECT_LE(units(total.real(), 0.1f * 100'003.0), kFew);
  EXPECT_LE(units(total.imag(), -0.7f * 100'003.0), kFew);
}

TEST(LargePrecision, SumsKeepInfinitiesAndNaN) {
  std::vector<float> values(50'000, 1);
  values[49'000] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sum(Tensor::from_span<float>(values, {50'000})).item<float>(), values[49'000]);
  std::vector<std::complex<float>> numbers(50'000, 1);
  numbers[7] = {values[49'000], 2};
  const auto total =
      sum(Tensor::from_span<std::complex<float>>(numbers, {50'000})).item<std::complex<double>>();
  EXPECT_TRUE(std::isinf(total.real()));
  EXPECT_EQ(total.imag(), 2);
  values[3] = NAN;
  EXPECT_TRUE(std::isnan(sum(Tensor::from_span<float>(values, {50'000})).item<float>()));
}

// What Nx makes a variance of.
TEST(LargePrecision, MeansAndVariancesErrByFewUnits) {
  const Tensor mean = divide(sum(constants({100'000}, 0.6f)), Tensor(100'000));
  expect_near(mean, 0.6f, "a mean");
  std::vector<float> values(1'000'000, 10'000);
  for (std::size_t i = 1; i < values.size(); i += 2) values[i] = 10'001;
  const Tensor t = Tensor::from_span<float>(values, {1000, 1000});
  for (const Tensor& x : {t, transpose(t), reshape(t, {1'000'000})}) {
    const Tensor from_mean = subtract(x, divide(sum(x), Tensor(1'000'000)));
    const Tensor squares = multiply(from_mean, from_mean);
    EXPECT_NEAR(divide(sum(squares), Tensor(1'000'000)).item<double>(), 0.25, 1e-6);
  }
}

TEST(LargePrecision, RunningSumsErrByFewUnits) {
  const std::int64_t count = 200'003;
  for (const Shape& shape : {Shape{count}, Shape{count, 2}, Shape{2, count}}) {
    const std::int64_t axis = shape[0] == count ? 0 : 1;
    for (const bool reverse : {false, true}) {
      const Tensor sums =
          cumulative_sum(constants(shape, 0.1f), {.axis = axis, .reverse = reverse});
      const Tensor last = slice_along_axis(sums, reverse ? 0 : count - 1, 1, {.axis = axis});
      expect_near(last, 0.1f * static_cast<double>(count), "a running sum");
    }
  }
  expect_near(slice(window_sum(constants({30'000}, 0.1f), {20'000}), {0}, {1}), 0.1f * 20'000.0,
              "a window");
}

TEST(LargePrecision, ProductsWithVectorsErrByFewUnits) {
  for (const std::int64_t length : {10'000'000, 1'000'003, 5'000}) {
    const double exact = 0.1f * static_cast<double>(length);
    expect_near(dot(constants({length}, 0.1f), constants({length}, 1)), exact, "two vectors");
  }
  const std::int64_t length = 300'007;
  const double exact = 0.1f * static_cast<double>(length);
  const Tensor ones = constants({length}, 1);
  for (const std::int64_t width : {1, 2, 3, 4, 17, 70}) {
    const Tensor wide = constants({width, length}, 0.1f), tall = constants({length, width}, 0.1f);
    expect_near(dot(wide, ones), exact, "rows");
    expect_near(dot(transpose(tall), ones), exact, "columns of a transposed matrix");
    expect_near(dot(ones, tall), exact, "columns");
    expect_near(dot(ones, transpose(wide)), exact, "rows of a transposed matrix");
  }
  const Tensor a = constants({3, length}, 0.1f), b = constants({3, length}, 1);
  expect_near(dot(a, {1}, {0}, b, {1}, {0}), exact, "a batch of vectors");
}

TEST(LargePrecision, ProductsOfThinMatricesStayPrecise) {
  const std::int64_t length = 1'000'003;
  const double exact = 0.3f * static_cast<double>(length);
  for (const std::int64_t rows : {1, 2, 4}) {
    for (const std::int64_t columns : {2, 4}) {
      const Tensor product = dot(constants({rows, length}, 0.3f), constants({length, columns}, 1));
      for (const double got : elements(product)) EXPECT_LE(units(got, exact), 100) << rows;
    }
  }
}

TEST(LargePrecision, ProductsOfOtherFloatsStayPrecise) {
  const std::int64_t length = 5'000'011;
  const Tensor x = constants({length}, 0.1f), y = constants({length}, 1);
  for (const DType type : {DType::f16, DType::bf16}) {
    const Tensor half = as_type(multiply(x, Tensor(0.01f)), type);
    const double exact = elements(slice(half, {0}, {1}))[0] * static_cast<double>(length);
    EXPECT_NEAR(dot(half, as_type(y, type)).item<double>(), exact, 5e-3 * exact) << name(type);
  }
  const double exact = 0.1f * static_cast<double>(length);
  EXPECT_NEAR(dot(as_type(x, DType::f64), as_type(y, DType::f64)).item<double>(), exact,
              1e-13 * exact);
  const auto complex =
      dot(as_type(x, DType::c64), as_type(y, DType::c64)).item<std::complex<double>>();
  EXPECT_LE(units(complex.real(), exact), 100);
}

TEST(LargePrecision, LongKernelsOfConvolutionsErrByFewUnits) {
  const Tensor image = constants({1, 1, 200'000}, 0.1f), kernel = constants({1, 1, 199'990}, 1);
  const Tensor result = conv(image, kernel);
  for (const double got : elements(result)) EXPECT_LE(units(got, 0.1f * 199'990.0), 100);
}

TEST(LargePrecision, ManyAdditionsToFewPlacesErrByFewUnits) {
  const Tensor places = remainder(iota({600'000, 1}), Tensor(3));
  expect_near(indexed_add(constants({3}, 0), places, constants({600'000}, 0.1f)), 0.1f * 200'000.0,
              "an indexed sum");
}

}  // namespace
}  // namespace mlxnx
