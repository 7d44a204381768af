#include "mlxnx/ops/fft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "mlxnx/ops/shape.h"
#include "ops/number_tensors.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using Complex = std::complex<double>;
using testing::HasSubstr;

// f32 inside; the values below are up to about 10 times the number of points.
constexpr double kTolerance = 2e-5;

Tensor ramp(DType type, const Shape& shape) {
  return generate(type, shape, [](std::size_t i) { return static_cast<std::int64_t>(i * 5 % 7); });
}

// The definition, along the last axis of `rows` rows with `size` points each.
std::vector<Complex> reference(const std::vector<Complex>& in, std::size_t size, std::size_t points,
                               double sign) {
  std::vector<Complex> out;
  for (std::size_t row = 0; row < in.size() / size; ++row) {
    for (std::size_t k = 0; k < points; ++k) {
      Complex sum = 0;
      for (std::size_t j = 0; j < std::min(size, points); ++j) {
        const double turn = static_cast<double>(j * k % points) / static_cast<double>(points);
        sum += in[row * size + j] * std::polar(1.0, sign * 2 * std::numbers::pi * turn);
      }
      out.push_back(sign < 0 ? sum : sum / static_cast<double>(points));
    }
  }
  return out;
}

void expect_near(const std::vector<Complex>& result, const std::vector<Complex>& expected,
                 const std::string& label) {
  ASSERT_EQ(result.size(), expected.size()) << label;
  for (std::size_t i = 0; i < result.size(); ++i) {
    EXPECT_LE(std::abs(result[i] - expected[i]),
              kTolerance * static_cast<double>(10 + result.size()))
        << label << " at " << i << ": " << result[i] << " for " << expected[i];
  }
}

TEST(Fft, TransformsEveryTypeAtEveryLength) {
  for (const DType type : kDTypes) {
    if (type == DType::f64) continue;
    for (const std::int64_t length : {1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 30}) {
      const Tensor in = ramp(type, {2, 6});
      const std::string label = to_string(in.type()) + " at length " + std::to_string(length);
      const auto points = static_cast<std::size_t>(length);
      const Tensor forward = fft(in, {.length = length});
      EXPECT_EQ(forward.type(), (TensorType{DType::c64, {2, length}})) << label;
      expect_near(complex_of(forward), reference(complex_of(in), 6, points, -1), label);
      const Tensor inverse = ifft(in, {.length = length});
      EXPECT_EQ(inverse.type(), (TensorType{DType::c64, {2, length}})) << label;
      expect_near(complex_of(inverse), reference(complex_of(in), 6, points, 1), label);
    }
  }
}

TEST(Fft, TransformsLongPrimeLengths) {
  const Tensor in = ramp(DType::f32, {1031});
  expect_near(complex_of(fft(in)), reference(complex_of(in), 1031, 1031, -1), "1031");
}

TEST(Fft, TransformsAnyAxisOfAView) {
  const Tensor in = ramp(DType::c64, {3, 4, 2});
  for (const std::int64_t axis : {-3, -2, -1, 0, 1, 2}) {
    const std::int64_t known = axis < 0 ? axis + 3 : axis;
    Axes order = {0, 1, 2};
    std::swap(order[static_cast<std::size_t>(known)], order[2]);
    const Tensor turned = transpose(in, {.axes = order});
    const Tensor expected = transpose(fft(turned), {.axes = order});
    expect_near(complex_of(fft(in, {.axis = axis})), complex_of(expected),
                "axis " + std::to_string(axis));
    EXPECT_EQ(fft(in, {.length = 5, .axis = axis}).shape()[static_cast<std::size_t>(known)], 5);
  }
}

TEST(Fft, TransformsTwoAxes) {
  const Tensor in = ramp(DType::f32, {3, 2, 4});
  const Tensor result = fft2(in, {.lengths = {{4, 3}}, .axes = {0, -1}});
  EXPECT_EQ(result.shape(), (Shape{4, 2, 3}));
  const Tensor one_by_one = fft(fft(in, {.length = 3}), {.length = 4, .axis = 0});
  expect_near(complex_of(result), complex_of(one_by_one), "fft2");
  expect_near(complex_of(ifft2(fft2(in))), complex_of(in), "ifft2");
}

TEST(Fft, RealTransformsAreTheFirstHalf) {
  for (const std::int64_t length : {1, 2, 5, 6, 9}) {
    for (const DType type : {DType::f32, DType::bf16, DType::u8}) {
      const Tensor in = ramp(type, {2, 6});
      const Tensor half = rfft(in, {.length = length});
      EXPECT_EQ(half.type(), (TensorType{DType::c64, {2, length / 2 + 1}}));
      const auto whole = complex_of(fft(in, {.length = length}));
      const auto points = static_cast<std::size_t>(length), kept = points / 2 + 1;
      std::vector<Complex> expected(whole.begin(), whole.begin() + static_cast<long>(kept));
      expected.insert(expected.end(), whole.begin() + static_cast<long>(points),
                      whole.begin() + static_cast<long>(points + kept));
      expect_near(complex_of(half), expected, "rfft " + std::to_string(length));
    }
    const Tensor cut = ramp(DType::f32, {2, length});
    const Tensor back = irfft(rfft(cut), {.length = length});
    EXPECT_EQ(back.type(), (TensorType{DType::f32, {2, length}}));
    expect_near(complex_of(back), complex_of(cut), "irfft " + std::to_string(length));
  }
}

TEST(Fft, InverseRealTransformHasTheRealTypeAndDefaultLength) {
  EXPECT_EQ(irfft(ramp(DType::c64, {4})).type(), (TensorType{DType::f32, {6}}));
  EXPECT_EQ(irfft(ramp(DType::f16, {4})).type(), (TensorType{DType::f16, {6}}));
  EXPECT_EQ(irfft(ramp(DType::s32, {4, 3}), {.axis = 0}).type(), (TensorType{DType::f32, {6, 3}}));
  EXPECT_EQ(irfft(ramp(DType::c64, {2}), {.length = 7}).shape(), (Shape{7}));
}

TEST(Fft, PowerOfTwoRoundsTheSizeUp) {
  EXPECT_EQ(fft(ramp(DType::f32, {5}), {.length = kPowerOfTwo}).shape(), (Shape{8}));
  EXPECT_EQ(fft(ramp(DType::f32, {8}), {.length = kPowerOfTwo}).shape(), (Shape{8}));
  EXPECT_EQ(fft2(ramp(DType::f32, {3, 5}), {.lengths = {{kPowerOfTwo, 3}}}).shape(), (Shape{4, 3}));
}

TEST(Fft, EpsClearsSmallPartsAndNegativeZeros) {
  const Tensor in = generate(DType::f32, {2}, [](std::size_t i) { return i == 0 ? 1.0 : 1e-3; });
  const auto cleaned = complex_of(ifft(in, {.eps = 0.6}));
  EXPECT_EQ(cleaned[0], Complex(0, 0));
  const auto kept = complex_of(ifft(in));
  EXPECT_NEAR(kept[0].real(), 0.5005, 1e-6);
  for (const Complex& value : kept) EXPECT_FALSE(std::signbit(value.imag()));
}

TEST(Fft, NanReachesEveryPoint) {
  const Tensor in = generate(DType::f32, {2, 3}, [](std::size_t i) {
    return i == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  });
  const auto result = complex_of(fft(in));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(result[i].real())) << i;
  EXPECT_EQ(result[3], Complex(3, 0));
}

TEST(Fft, TakesWhatComparisonsLeave) {
  const Tensor mask = testing_support::mask({1, 0, 1});
  expect_near(complex_of(fft(mask, {.length = 4})), {2, 0, 2, 0}, "mask");
  expect_near(complex_of(irfft(mask, {.length = 2})), {0.5, 0.5}, "mask");
}

TEST(Fft, EmptyAxesGiveZeros) {
  EXPECT_EQ(complex_of(fft(ramp(DType::f32, {2, 0}), {.length = 2})), std::vector<Complex>(4));
  EXPECT_EQ(fft(ramp(DType::f32, {0, 4})).shape(), (Shape{0, 4}));
  EXPECT_EQ(fft2(ramp(DType::f32, {0, 4, 2})).shape(), (Shape{0, 4, 2}));
}

TEST(Fft, RefusesWhatIsNoTransform) {
  const Tensor in = ramp(DType::f32, {4});
  EXPECT_THAT(message_of<ShapeError>([] { fft(Tensor(1.0)); }), HasSubstr("[fft] expected"));
  EXPECT_THAT(message_of<ShapeError>([&] { fft(in, {.axis = 1}); }), HasSubstr("axis 1"));
  EXPECT_THAT(message_of<ShapeError>([&] { ifft(in, {.length = 0}); }), HasSubstr("got 0"));
  EXPECT_THAT(message_of<ShapeError>([&] { irfft(in, {.length = kPowerOfTwo}); }),
              HasSubstr("positive"));
  EXPECT_THAT(message_of<ShapeError>([] { fft(ramp(DType::f32, {0})); }), HasSubstr("got 0"));
  EXPECT_THAT(message_of<ShapeError>([&] { fft2(in); }), HasSubstr("rank 2 or more"));
  EXPECT_THAT(message_of<ShapeError>([] {
                fft2(ramp(DType::f32, {2, 2}), {.axes = {0, -2}});
              }),
              HasSubstr("given twice"));
  EXPECT_THAT(message_of<TypeError>([] { rfft(ramp(DType::c64, {4})); }), HasSubstr("c64[4]"));
  EXPECT_THAT(message_of<UnsupportedError>([] { fft(ramp(DType::f64, {4})); }), HasSubstr("c128"));
}

}  // namespace
}  // namespace mlxnx
