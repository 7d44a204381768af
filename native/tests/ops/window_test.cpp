#include "mlxnx/ops/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "error_of.h"
#include "mlxnx/literal.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/shape.h"
#include "ops/numbers.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::NanSensitiveDoubleEq;
using testing::Pointwise;
using testing_support::elements;
using testing_support::error_of;
using testing_support::mask;
using testing_support::numbers;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A window op written down element by element, as Nx.BinaryBackend does it.

struct Geometry {
  Shape shape, window;
  std::vector<EdgePadding> padding;
  Axes strides, dilations;

  Shape output() const {
    Shape result;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const std::int64_t padded = shape[i] + padding[i].low + padding[i].high;
      result.push_back((padded - (window[i] - 1) * dilations[i] - 1) / strides[i] + 1);
    }
    return result;
  }
  WindowOptions options() const {
    return {.padding = padding, .strides = strides, .window_dilations = dilations};
  }
};

// Calls `visit` with every position within `limits`, row-major.
void each_position(const Shape& limits, const std::function<void(const Axes&)>& visit) {
  Axes position(limits.size(), 0);
  if (element_count(limits) == 0) return;
  for (bool more = true; more;) {
    visit(position);
    more = false;
    for (std::size_t i = limits.size(); i-- > 0 && !more;) {
      more = ++position[i] < limits[i];
      if (!more) position[i] = 0;
    }
  }
}

// Flat position in the operand of the window's element, -1 in the padding.
std::int64_t flat_position(const Geometry& g, const Axes& window, const Axes& element) {
  std::int64_t flat = 0;
  for (std::size_t i = 0; i < g.shape.size(); ++i) {
    const std::int64_t at =
        window[i] * g.strides[i] + element[i] * g.dilations[i] - g.padding[i].low;
    if (at < 0 || at >= g.shape[i]) return -1;
    flat = flat * g.shape[i] + at;
  }
  return flat;
}

std::vector<double> fold_naively(const std::vector<double>& values, const Geometry& g, double start,
                                 const std::function<double(double, double)>& step) {
  std::vector<double> result;
  each_position(g.output(), [&](const Axes& window) {
    double accumulator = start;
    each_position(g.window, [&](const Axes& element) {
      const std::int64_t at = flat_position(g, window, element);
      accumulator = step(at < 0 ? start : values[static_cast<std::size_t>(at)], accumulator);
    });
    result.push_back(accumulator);
  });
  return result;
}

double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double smaller(double a, double b) { return std::isnan(a) || a < b ? a : b; }

double largest_of(DType type) {
  if (is_float(type)) return kInfinity;
  return std::ldexp(1.0, bits(type) - (is_unsigned(type) ? 0 : 1)) - 1;
}

double smallest_of(DType type) {
  if (is_float(type)) return -kInfinity;
  return is_unsigned(type) ? 0 : -std::ldexp(1.0, bits(type) - 1);
}

const Geometry kGeometries[] = {
    {{7}, {3}, {{0, 0}}, {1}, {1}},
    {{7}, {3}, {{1, 2}}, {2}, {2}},
    {{9}, {2}, {{-1, -2}}, {1}, {1}},
    {{9}, {2}, {{-2, 3}}, {3}, {1}},
    {{4}, {6}, {{2, 2}}, {1}, {1}},
    {{3}, {1}, {{2, 2}}, {2}, {1}},
    {{60}, {17}, {{0, 0}}, {1}, {1}},
    {{90}, {21}, {{5, 3}}, {2}, {3}},
    {{200}, {64}, {{0, 9}}, {7}, {2}},
    {{5, 6}, {2, 3}, {{0, 0}, {1, 1}}, {1, 2}, {1, 1}},
    {{5, 6}, {2, 2}, {{1, 0}, {0, 1}}, {2, 2}, {3, 1}},
    {{2, 5, 4}, {1, 3, 2}, {{0, 0}, {1, 1}, {2, 0}}, {1, 2, 1}, {1, 1, 2}},
    {{2, 4, 5, 3}, {2, 1, 3, 1}, {{0, 1}, {0, 0}, {1, 1}, {0, 0}}, {1, 2, 2, 1}, {1, 1, 1, 1}},
    {{}, {}, {}, {}, {}},
};

std::vector<double> window_values(DType type, std::size_t count) {
  std::mt19937 generator(static_cast<unsigned>(count) + 17);
  std::vector<double> values(count);
  for (double& value : values) {
    value = static_cast<double>(generator() % 9) - (is_unsigned(type) ? 0 : 4);
    if (is_float(type) && generator() % 12 == 0) value = kNaN;
    if (is_float(type) && generator() % 12 == 0) value = -kInfinity;
  }
  return values;
}

TEST(Window, AgreesWithAFoldOverEachWindowForEveryTypeAndGeometry) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    for (const Geometry& g : kGeometries) {
      const auto values = window_values(type, static_cast<std::size_t>(element_count(g.shape)));
      const Tensor t = numbers(type, g.shape, values);
      const double lowest = smallest_of(type), highest = largest_of(type);
      const std::string what =
          std::string(name(type)) + " " + to_string(g.shape) + " " + to_string(g.window);
      const Tensor maxima = window_max(t, g.window, g.options());
      EXPECT_EQ(maxima.type(), (TensorType{type, g.output()})) << what;
      EXPECT_THAT(elements(maxima),
                  Pointwise(NanSensitiveDoubleEq(), fold_naively(values, g, lowest, larger)))
          << what;
      EXPECT_THAT(elements(window_min(t, g.window, g.options())),
                  Pointwise(NanSensitiveDoubleEq(), fold_naively(values, g, highest, smaller)))
          << what;
      // Wrapping by a cast at the end is wrapping at every step.
      const auto sums = fold_naively(values, g, 0, std::plus<>());
      EXPECT_THAT(elements(window_sum(t, g.window, g.options())),
                  Pointwise(NanSensitiveDoubleEq(),
                            is_integer(type)
                                ? elements(as_type(numbers(DType::s64, g.output(), sums), type))
                                : sums))
          << what;
    }
  }
}

TEST(Window, MultipliesEachWindow) {
  for (const Geometry& g : kGeometries) {
    std::vector<double> values(static_cast<std::size_t>(element_count(g.shape)));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = i % 3 == 0 ? -2 : i % 5 == 0 ? 0.5 : 1;
    EXPECT_EQ(elements(window_product(numbers(DType::f64, g.shape, values), g.window, g.options())),
              fold_naively(values, g, 1, std::multiplies<>()))
        << to_string(g.window);
  }
  EXPECT_THAT(elements(window_product(tensor({100, 100, 2}, DType::u8), {2})),
              ElementsAre(16, 200));
}

TEST(Window, HasNxDefaultsAndSamePadding) {
  const Tensor t = tensor({1, 3, 2, 4});
  EXPECT_THAT(elements(window_sum(t, {2})), ElementsAre(4, 5, 6));
  EXPECT_THAT(elements(window_max(t, {2}, {.padding = Padding::same()})), ElementsAre(3, 3, 4, 4));
  EXPECT_EQ(window_sum(t, {2}, {.padding = Padding::same(), .window_dilations = Axes{2}}).shape(),
            (Shape{4}));
  EXPECT_EQ(window_sum(t, {3}, {.padding = Padding::same(), .strides = Axes{2}}).shape(),
            (Shape{2}));
  EXPECT_THAT(elements(window_sum(mask({1, 1, 0}), {2})), ElementsAre(2, 1));
  EXPECT_THAT(elements(window_max(mask({1, 1, 0}), {2})), ElementsAre(1, 1));
}

TEST(Window, AccumulatesHalfFloatsInF32) {
  const std::vector<double> values(3000, 1.0);
  const Tensor t = numbers(DType::f16, {3000}, values);
  EXPECT_THAT(elements(window_sum(t, {3000})), ElementsAre(3000));
  EXPECT_NEAR(elements(window_product(numbers(DType::f16, {3}, {600, 600, 0.001}), {3}))[0], 360,
              1);
}

TEST(Window, AddsAndMultipliesComplexNumbers) {
  using C = std::complex<double>;
  using F = std::complex<float>;
  const Tensor t = tensor({C(1, 1), C(0, 2), C(kInfinity, 0)});
  EXPECT_THAT(window_sum(t, {2}).to_vector<F>()[0], F(1, 3));
  const auto products = window_product(t, {2}).to_vector<F>();
  EXPECT_EQ(products[0], F(-2, 2));
  EXPECT_TRUE(std::isnan(products[1].real()) && std::isnan(products[1].imag()));
  EXPECT_THAT(error_of<TypeError>([&] { window_max(t, {2}); }), HasSubstr("[window_max] complex"));
}

TEST(Window, OverNoElementsSeesOnlyPadding) {
  const Tensor t = numbers(DType::s32, {0}, {});
  EXPECT_THAT(elements(window_sum(t, {2}, {.padding = {{1, 2}}})), ElementsAre(0, 0));
  EXPECT_THAT(elements(window_product(t, {1}, {.padding = {{1, 1}}})), ElementsAre(1, 1));
  const Tensor wide = numbers(DType::f32, {0, 4}, {});
  EXPECT_THAT(error_of<ShapeError>([&] {
                window_sum(wide, {1, 2});
              }),
              HasSubstr("[window_sum] no window"));
}

TEST(Window, NegativePaddingMayCutPaddingOfTheOtherSide) {
  const Tensor one = tensor({5});
  EXPECT_THAT(elements(window_sum(one, {1}, {.padding = {{3, -2}}})), ElementsAre(0, 0));
  EXPECT_THAT(elements(window_sum(one, {1}, {.padding = {{-2, 3}}})), ElementsAre(0, 0));
  EXPECT_THAT(elements(window_max(tensor({1, 2}), {2}, {.padding = {{-1, 1}}})), ElementsAre(2));
}

TEST(Window, SaysWhatIsWrong) {
  const Tensor t = tensor({{1, 2, 3}});
  EXPECT_EQ(error_of<ShapeError>([&] { window_sum(t, {2}); }),
            "[window_sum] the window {2} must have the rank of the shape {1, 3}");
  EXPECT_EQ(error_of<ShapeError>([&] {
              window_max(t, {2, 1});
            }),
            "[window_max] no window of {2, 1} with dilations {1, 1} fits into axis 0 of shape "
            "{1, 3}, padded to 1");
  EXPECT_EQ(error_of<ShapeError>([&] {
              window_max(t, {1, 1}, {.strides = Axes{1}});
            }),
            "[window_max] strides has 1 entries for the shape {1, 3}");
  EXPECT_EQ(error_of<ArgumentError>([&] {
              window_min(t, {1, 1}, {.strides = Axes{1, 0}});
            }),
            "[window_min] strides takes positive 32-bit integers, got {1, 0}");
  EXPECT_THAT(error_of<ArgumentError>([&] {
                window_sum(t, {1, 0});
              }),
              HasSubstr("window takes positive"));
  EXPECT_THAT(error_of<ShapeError>([&] {
                window_sum(t, {1, 1}, {.padding = {{1, 1}}});
              }),
              HasSubstr("padding has 1 entries"));
  EXPECT_THAT(error_of<ShapeError>([&] {
                window_sum(t, {1, 1}, {.padding = {{0, 0}, {-2, -2}}});
              }),
              HasSubstr("padded to -1"));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                window_sum(t, {1, 1}, {.padding = {{0, 0}, {0, std::int64_t{1} << 40}}});
              }),
              HasSubstr("32-bit"));
}

TEST(WindowReduce, FoldsInRowMajorOrderWithItsAccumulatorAsPadding) {
  const Reducer step = [](const Tensor& element, const Tensor& accumulator) {
    return add(add(accumulator, accumulator), element);
  };
  for (const Geometry& g : kGeometries) {
    if (element_count(g.window) > 24) continue;
    std::vector<double> values(static_cast<std::size_t>(element_count(g.shape)));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 7) - 3;
    const Tensor result =
        window_reduce(numbers(DType::s64, g.shape, values), 5, g.window, step, g.options());
    EXPECT_EQ(result.type(), (TensorType{DType::s64, g.output()}));
    EXPECT_EQ(elements(result),
              fold_naively(values, g, 5, [](double x, double acc) { return 2 * acc + x; }))
        << to_string(g.window);
  }
  EXPECT_EQ(error_of<ShapeError>([] { window_reduce(tensor({1}), tensor({0}), {1}, add); }),
            "[window_reduce] the accumulator must be a scalar, got s32[1]");
}

// Window scatters, step by step as Nx.BinaryBackend does them.

std::vector<double> scatter_naively(const std::vector<double>& values,
                                    const std::vector<double>& source, const Geometry& g,
                                    double init, bool largest) {
  std::vector<double> result(values.size(), init);
  std::size_t next = 0;
  each_position(g.output(), [&](const Axes& window) {
    double best = kNaN;
    std::int64_t best_at = -1;
    bool first = true;
    each_position(g.window, [&](const Axes& element) {
      const std::int64_t at = flat_position(g, window, element);
      const double value = at < 0 ? init : values[static_cast<std::size_t>(at)];
      if (first || (largest ? value >= best : value <= best)) {
        best = value;
        best_at = at;
      }
      first = false;
    });
    if (best_at >= 0) result[static_cast<std::size_t>(best_at)] += source[next];
    ++next;
  });
  return result;
}

TEST(WindowScatter, AddsTheSourceWhereEachWindowHasItsExtreme) {
  for (const DType type : kDTypes) {
    if (is_complex(type)) continue;
    for (const Geometry& with_dilations : kGeometries) {
      Geometry g = with_dilations;
      g.dilations = Axes(g.shape.size(), 1);
      const auto values = window_values(type, static_cast<std::size_t>(element_count(g.shape)));
      std::vector<double> source(static_cast<std::size_t>(element_count(g.output())));
      for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<double>(i % 3);
      const Tensor t = numbers(type, g.shape, values);
      const Tensor s = numbers(type, g.output(), source);
      const Tensor init = numbers(type, {}, {1});
      const WindowScatterOptions options = {.padding = g.padding, .strides = g.strides};
      const std::string what =
          std::string(name(type)) + " " + to_string(g.shape) + " " + to_string(g.window);
      const Tensor maxima = window_scatter_max(t, s, init, g.window, options);
      EXPECT_EQ(maxima.type(), (TensorType{type, g.shape})) << what;
      EXPECT_EQ(elements(maxima), scatter_naively(values, source, g, 1, true)) << what;
      EXPECT_EQ(elements(window_scatter_min(t, s, init, g.window, options)),
                scatter_naively(values, source, g, 1, false))
          << what;
    }
  }
}

TEST(WindowScatter, MergesTheTypesOfSourceAndInitialValue) {
  const Tensor t = tensor({1, 3, 2, 4});
  const Tensor r = window_scatter_max(t, tensor({5, 6}, DType::u8), 0.5, {2}, {.strides = Axes{2}});
  EXPECT_EQ(r.type(), (TensorType{DType::f32, {4}}));
  EXPECT_THAT(elements(r), ElementsAre(0.5, 5.5, 0.5, 6.5));
  const Tensor exact = window_scatter_max(tensor({1.0}, DType::f64), tensor({0.1}, DType::f64),
                                          tensor(0.0, DType::f64), {1});
  EXPECT_EQ(exact.item<double>(), 0.1) << "f64 is added in f64";
}

TEST(WindowScatter, SaysWhatIsWrong) {
  const Tensor t = tensor({1, 3, 2, 4});
  EXPECT_EQ(error_of<ShapeError>([&] {
              window_scatter_max(t, tensor({1, 2}), 0, {2});
            }),
            "[window_scatter_max] the source has shape {2}, and there are {3} windows");
  EXPECT_EQ(error_of<ShapeError>([&] {
              window_scatter_min(t, tensor({1, 2, 3}), tensor({0}), {2});
            }),
            "[window_scatter_min] the initial value must be a scalar, got s32[1]");
  EXPECT_THAT(error_of<TypeError>([&] {
                window_scatter_min(t, tensor({1, 2, 3}), std::complex<double>(1, 1), {2});
              }),
              HasSubstr("no order"));
  const Tensor none = numbers(DType::f32, {0}, {});
  EXPECT_EQ(window_scatter_max(none, tensor({1.0}), 0.0, {2}, {.padding = {{1, 1}}}).size(), 0);
}

}  // namespace
}  // namespace mlxnx
