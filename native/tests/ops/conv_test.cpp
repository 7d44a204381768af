#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "mlxc/engine.h"
#include "mlxc/stream.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/shape.h"
#include "ops/conv_paths.h"
#include "ops/invoke.h"
#include "ops/number_tensors.h"
#include "ops/numbers.h"
#include "ops/registry.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using Complex = std::complex<double>;
using testing::HasSubstr;

struct Case {
  const char* label;
  Shape input, kernel;
  ConvOptions options;
};

const std::vector<Case> kCases = {
    {"one pixel", {1, 1, 1}, {1, 1, 1}, {}},
    {"one axis", {2, 3, 7}, {4, 3, 3}, {}},
    {"two axes", {2, 2, 5, 4}, {3, 2, 2, 3}, {}},
    {"three axes", {1, 2, 4, 3, 5}, {2, 2, 2, 2, 3}, {}},
    {"four axes", {1, 2, 3, 3, 2, 3}, {2, 2, 2, 1, 2, 3}, {}},
    {"no spatial axes", {3, 4}, {2, 4}, {}},
    {"no spatial axes, groups", {3, 4}, {6, 2}, {.feature_group_size = 2}},
    {"strides", {1, 2, 8, 7}, {2, 2, 3, 2}, {.strides = Axes{2, 3}}},
    {"padding", {1, 2, 4, 3}, {2, 2, 3, 3}, {.padding = {{1, 2}, {0, 3}}}},
    {"negative padding", {1, 2, 7, 6}, {2, 2, 2, 2}, {.padding = {{-1, -2}, {-2, 1}}}},
    {"kernel dilation", {1, 2, 8, 7}, {2, 2, 3, 2}, {.kernel_dilation = Axes{3, 2}}},
    {"input dilation",
     {1, 2, 3, 4},
     {2, 2, 3, 2},
     {.padding = {{1, 0}, {0, 2}}, .input_dilation = Axes{3, 2}}},
    {"negative padding of a dilated input",
     {1, 1, 5, 5},
     {1, 1, 2, 2},
     {.padding = {{-1, -2}, {-3, -1}}, .input_dilation = Axes{3, 2}}},
    {"input dilation along one axis, channels last",
     {2, 5, 4, 3},
     {2, 3, 2, 3},
     {.strides = Axes{1, 2},
      .padding = {{2, 1}, {1, 2}},
      .input_dilation = Axes{3, 1},
      .kernel_dilation = Axes{1, 2},
      .input_permutation = Axes{0, 3, 1, 2},
      .kernel_permutation = Axes{0, 3, 1, 2},
      .output_permutation = Axes{0, 3, 1, 2}}},
    {"padding that cuts everything off", {1, 1, 3}, {1, 1, 2}, {.padding = {{-4, 5}}}},
    {"everything at once",
     {2, 4, 6, 5},
     {6, 2, 2, 3},
     {.strides = Axes{2, 1},
      .padding = {{2, -1}, {1, 3}},
      .input_dilation = Axes{2, 1},
      .kernel_dilation = Axes{1, 2},
      .feature_group_size = 2}},
    {"depthwise", {2, 4, 5}, {8, 1, 2}, {.feature_group_size = 4}},
    {"batch groups", {6, 2, 5, 4}, {6, 2, 2, 2}, {.batch_group_size = 3}},
    {"batch groups in one axis",
     {4, 3, 5},
     {2, 3, 3},
     {.padding = {{1, 1}}, .batch_group_size = 2}},
    {"channels last",
     {2, 5, 4, 3},
     {2, 2, 3, 4},
     {.input_permutation = Axes{0, 3, 1, 2},
      .kernel_permutation = Axes{3, 2, 0, 1},
      .output_permutation = Axes{0, 3, 1, 2}}},
    {"channels last, groups",
     {2, 5, 4, 4},
     {6, 2, 2, 2},
     {.strides = Axes{1, 2},
      .padding = {{1, 1}, {2, 0}},
      .feature_group_size = 2,
      .input_permutation = Axes{0, -1, 1, 2},
      .output_permutation = Axes{0, 3, 1, 2}}},
    {"channels last, batch groups",
     {4, 5, 3},
     {4, 3, 2},
     {.batch_group_size = 2, .input_permutation = Axes{0, 2, 1}}},
    {"permutations that are not their own inverses",
     {4, 2, 3, 5},
     {3, 3, 2, 4},
     {.padding = {{1, 1}, {1, 1}},
      .input_permutation = Axes{1, 2, 3, 0},
      .kernel_permutation = Axes{3, 1, 0, 2},
      .output_permutation = Axes{2, 0, 3, 1}}},
};

// The definition, in the arithmetic of complex doubles; see `value_at`.
class Reference {
 public:
  Reference(const Case& c, const Tensor& input, const Tensor& kernel)
      : o_(c.options),
        rank_(c.input.size()),
        input_(complex_of(input)),
        kernel_(complex_of(kernel)) {
    input_order_ = order(o_.input_permutation);
    kernel_order_ = order(o_.kernel_permutation);
    input_shape_ = c.input;
    kernel_shape_ = c.kernel;
    canonical_ = {in(0) / o_.batch_group_size, ker(0)};
    for (std::size_t i = 2; i < rank_; ++i) {
      const std::int64_t room = (in(i)-1) * option(o_.input_dilation, i) + 1 + edge(i).low +
                                edge(i).high - (ker(i) - 1) * option(o_.kernel_dilation, i) - 1;
      canonical_.push_back(room / option(o_.strides, i) + 1);
    }
  }

  Shape shape() const {
    const Axes places = order(o_.output_permutation);
    Shape result(rank_);
    for (std::size_t i = 0; i < rank_; ++i)
      result[static_cast<std::size_t>(places[i])] = canonical_[i];
    return result;
  }

  // Every element of the result, in its own order of axes.
  std::vector<Complex> values() const {
    const Axes places = order(o_.output_permutation);
    const Shape dims = shape();
    std::vector<Complex> result;
    Shape at(rank_, 0);
    for (std::int64_t i = 0; i < element_count(dims); ++i) {
      std::int64_t rest = i;
      for (std::size_t axis = rank_; axis-- > 0; rest /= dims[axis]) at[axis] = rest % dims[axis];
      Shape canonical;
      for (const std::int64_t place : places)
        canonical.push_back(at[static_cast<std::size_t>(place)]);
      result.push_back(value_at(canonical));
    }
    return result;
  }

 private:
  Axes order(const std::optional<Axes>& permutation) const {
    Axes result;
    for (std::size_t i = 0; i < rank_; ++i) {
      const std::int64_t axis = permutation ? (*permutation)[i] : static_cast<std::int64_t>(i);
      result.push_back(axis < 0 ? axis + static_cast<std::int64_t>(rank_) : axis);
    }
    return result;
  }
  static std::int64_t option(const std::optional<Axes>& list, std::size_t axis) {
    return list ? (*list)[axis - 2] : 1;
  }
  EdgePadding edge(std::size_t axis) const {
    return o_.padding.edges().empty() ? EdgePadding{} : o_.padding.edges()[axis - 2];
  }
  std::int64_t in(std::size_t i) const {
    return input_shape_[static_cast<std::size_t>(input_order_[i])];
  }
  std::int64_t ker(std::size_t i) const {
    return kernel_shape_[static_cast<std::size_t>(kernel_order_[i])];
  }
  static Complex element(const std::vector<Complex>& values, const Shape& shape, const Axes& order,
                         const Shape& canonical) {
    Shape at(shape.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      at[static_cast<std::size_t>(order[i])] = canonical[i];
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < shape.size(); ++i) offset = offset * shape[i] + at[i];
    return values[static_cast<std::size_t>(offset)];
  }

  // The sum over channels and kernel positions for one canonical position of the result.
  Complex value_at(const Shape& out) const {
    Complex sum = 0;
    Shape kernel_dims;
    for (std::size_t i = 1; i < rank_; ++i) kernel_dims.push_back(ker(i));
    for (std::int64_t step = 0; step < element_count(kernel_dims); ++step) {
      Shape k(rank_, out[1]);
      std::int64_t rest = step;
      for (std::size_t i = rank_; i-- > 1; rest /= ker(i)) k[i] = rest % ker(i);
      Shape at(rank_, 0);
      at[0] = out[0] + out[1] / (ker(0) / o_.batch_group_size) * (in(0) / o_.batch_group_size);
      at[1] = k[1] + out[1] / (ker(0) / o_.feature_group_size) * ker(1);
      bool is_inside = true;
      for (std::size_t i = 2; i < rank_; ++i) {
        const std::int64_t gap = option(o_.input_dilation, i);
        const std::int64_t position =
            out[i] * option(o_.strides, i) + k[i] * option(o_.kernel_dilation, i) - edge(i).low;
        is_inside &= position >= 0 && position % gap == 0 && position / gap < in(i);
        at[i] = position / gap;
      }
      if (!is_inside) continue;
      sum += element(input_, input_shape_, input_order_, at) *
             element(kernel_, kernel_shape_, kernel_order_, k);
    }
    return sum;
  }

  const ConvOptions& o_;
  std::size_t rank_;
  std::vector<Complex> input_, kernel_;
  Axes input_order_, kernel_order_;
  Shape input_shape_, kernel_shape_, canonical_;
};

DType result_type(DType type) { return is_integer(type) ? DType::f32 : type; }

Tensor small_numbers(DType type, const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  return generate(type, shape,
                  [&](std::size_t) { return static_cast<std::int64_t>(random() % 5); });
}

TEST(Conv, ConvolvesEveryTypeWithEveryOption) {
  for (const DType type : kDTypes) {
    for (const Case& c : kCases) {
      const Tensor input = small_numbers(type, c.input, 1);
      const Tensor kernel = small_numbers(type, c.kernel, 2);
      const Reference reference(c, input, kernel);
      const auto values = reference.values();
      const Tensor expected =
          generate(result_type(type), reference.shape(), [&](std::size_t i) { return values[i]; });
      const Tensor result = conv(input, kernel, c.options);
      EXPECT_EQ(result.type(), expected.type()) << c.label;
      EXPECT_EQ(complex_of(result), complex_of(expected)) << c.label << " " << name(type);
    }
  }
}

ops::Attrs attrs_of(const ConvOptions& options) {
  ops::Attrs attrs = {{"feature_group_size", options.feature_group_size},
                      {"batch_group_size", options.batch_group_size}};
  std::vector<ops::Pair> pairs;
  for (const EdgePadding& edge : options.padding.edges()) pairs.push_back({edge.low, edge.high});
  if (!pairs.empty()) attrs.set("padding", pairs);
  const std::vector<std::pair<const char*, std::optional<Axes>>> lists = {
      {"strides", options.strides},
      {"input_dilation", options.input_dilation},
      {"kernel_dilation", options.kernel_dilation},
      {"input_permutation", options.input_permutation},
      {"kernel_permutation", options.kernel_permutation},
      {"output_permutation", options.output_permutation}};
  for (const auto& [name, list] : lists) {
    if (list) attrs.set(name, *list);
  }
  return attrs;
}

// MLX's own convolution, which GPUs use, on the CPU; nothing where it has no such geometry.
std::optional<Tensor> convolve_natively(const Tensor& input, const Tensor& kernel,
                                        const ConvOptions& options) {
  const ops::OpDef& row = ops::op("conv");
  const ops::Operand operands[] = {{.type = &input.type()}, {.type = &kernel.type()}};
  const ops::Attrs attrs = ops::normalise(attrs_of(options), row.attrs, row.name);
  const ops::ConvGeometry geometry =
      ops::conv_geometry({.op = row, .operands = operands, .attrs = attrs});
  const bool is_cut_off =
      std::any_of(geometry.spatial.begin(), geometry.spatial.end(),
                  [](const ops::SpatialAxis& axis) { return axis.cut().begin >= axis.cut().end; });
  if (is_cut_off || !ops::is_native_convolution(geometry, DType::f32)) return std::nullopt;
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(Device::kCpu));
  return tensors::wrap(
      ops::convolve_natively(geometry, input.node().array, kernel.node().array, DType::f32),
      {DType::f32, geometry.output_shape()});
}

TEST(Conv, MlxsOwnConvolutionAgrees) {
  int compared = 0;
  for (const Case& c : kCases) {
    const Tensor input = small_numbers(DType::f32, c.input, 1);
    const Tensor kernel = small_numbers(DType::f32, c.kernel, 2);
    const auto result = convolve_natively(input, kernel, c.options);
    if (!result) continue;
    EXPECT_EQ(complex_of(*result), Reference(c, input, kernel).values()) << c.label;
    ++compared;
  }
  EXPECT_GE(compared, 15);
}

// Without strides such convolutions go by phases of the dilation, wherever these begin and end.
TEST(Conv, DilatesInputsThatBeginAndEndAnywhere) {
  int compared = 0;
  for (const std::int64_t dilation : {2, 3, 5}) {
    for (std::int64_t size = 1; size <= 3; ++size) {
      for (std::int64_t kernel_size = 1; kernel_size <= 4; ++kernel_size) {
        for (std::int64_t low = -4; low <= 4; ++low) {
          for (std::int64_t high = -3; high <= 3; ++high) {
            const std::int64_t room = (size - 1) * dilation + 1 + low + high - kernel_size;
            if (room < 0) continue;
            const Case c{"",
                         {1, 2, size},
                         {3, 2, kernel_size},
                         {.padding = {{low, high}}, .input_dilation = Axes{dilation}}};
            const Tensor input = small_numbers(DType::f32, c.input, 1);
            const Tensor kernel = small_numbers(DType::f32, c.kernel, 2);
            ASSERT_EQ(complex_of(conv(input, kernel, c.options)),
                      Reference(c, input, kernel).values())
                << dilation << " " << size << " " << kernel_size << " " << low << " " << high;
            ++compared;
          }
        }
      }
    }
  }
  EXPECT_GT(compared, 1000);
}

// More patches than are made at once: parts of the batch, and parts of one large image.
TEST(Conv, WorksInParts) {
  for (const bool channels_last : {false, true}) {
    for (const Shape& shape : {Shape{40, 8, 60, 30}, Shape{1, 8, 700, 300}}) {
      ConvOptions options = {.strides = Axes{2, 3}, .padding = {{2, 2}, {2, 2}}};
      if (channels_last) options.input_permutation = Axes{0, 3, 1, 2};
      const Tensor input = small_numbers(
          DType::f32, channels_last ? Shape{shape[0], shape[2], shape[3], shape[1]} : shape, 3);
      const Tensor kernel = small_numbers(DType::f32, {3, 8, 5, 5}, 4);
      const Tensor result = conv(input, kernel, options);
      const auto expected = convolve_natively(input, kernel, options);
      ASSERT_TRUE(expected.has_value());
      EXPECT_EQ(result.type(), expected->type());
      EXPECT_TRUE(result.to_bytes() == expected->to_bytes()) << to_string(input.type());
    }
  }
}

TEST(Conv, MixesTypes) {
  const std::vector<std::array<DType, 3>> rows = {
      {DType::u8, DType::s32, DType::f32},  {DType::s64, DType::bf16, DType::bf16},
      {DType::f16, DType::f32, DType::f32}, {DType::f32, DType::f64, DType::f64},
      {DType::s32, DType::c64, DType::c64}, {DType::c64, DType::f32, DType::c64}};
  for (const auto& [left, right, merged] : rows) {
    const Tensor result =
        conv(small_numbers(left, {1, 1, 3}, 1), small_numbers(right, {1, 1, 2}, 2));
    EXPECT_EQ(result.type(), (TensorType{merged, {1, 1, 2}}));
  }
}

// 2^48 + 1 - 2^48: f32 would answer 0.
TEST(Conv, IntegersDoNotCancelInSinglePrecision) {
  const Tensor input = generate(DType::s32, {1, 1, 3},
                                [](std::size_t i) { return std::int64_t{i == 1 ? 1 : 1 << 24}; });
  const Tensor kernel = generate(DType::s32, {1, 1, 3}, [](std::size_t i) {
    return std::int64_t{i == 0 ? 1 << 24 : i == 1 ? 1 : -(1 << 24)};
  });
  EXPECT_EQ(conv(input, kernel).item<float>(), 1.0f);
}

TEST(Conv, SamePaddingKeepsTheSize) {
  const Tensor input = iota({1, 1, 5, 6}), kernel = iota({1, 1, 2, 3});
  const ConvOptions options = {.padding = Padding::same(), .kernel_dilation = Axes{3, 1}};
  EXPECT_EQ(conv(input, kernel, options).shape(), (Shape{1, 1, 5, 6}));
  // An even kernel has the odd one out at the end.
  EXPECT_EQ(conv(iota({1, 1, 3}), iota({1, 1, 2}), {.padding = Padding::same()}).to_vector<float>(),
            (std::vector<float>{1, 2, 0}));
}

TEST(Conv, TakesWhatComparisonsLeave) {
  const Tensor mask = reshape(testing_support::mask({1, 0, 1}), {1, 1, 3});
  EXPECT_EQ(conv(mask, mask).type(), (TensorType{DType::f32, {1, 1, 1}}));
  EXPECT_EQ(conv(mask, mask).item<float>(), 2.0f);
}

TEST(Conv, NanStaysWhereTheKernelMeetsIt) {
  const Tensor input = generate(DType::f32, {1, 1, 4}, [](std::size_t i) {
    return i == 3 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  });
  const auto result = conv(input, iota({1, 1, 2})).to_vector<float>();
  EXPECT_EQ(result[0], 1.0f);
  EXPECT_EQ(result[1], 1.0f);
  EXPECT_TRUE(std::isnan(result[2]));
}

TEST(Conv, EmptyBatchesAndChannels) {
  const Tensor kernel = iota({2, 3, 2});
  EXPECT_EQ(conv(iota({0, 3, 4}), kernel).shape(), (Shape{0, 2, 3}));
  EXPECT_EQ(complex_of(conv(iota({1, 0, 4}), iota({2, 0, 2}))), std::vector<Complex>(6));
  EXPECT_EQ(conv(iota({1, 3, 4}), iota({0, 3, 2})).shape(), (Shape{1, 0, 3}));
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const Tensor input = iota({2, 4, 5}), kernel = iota({4, 4, 3});
  const auto refusal = [&](const Tensor& tensor, const Tensor& other, const ConvOptions& options) {
    return message_of<ArgumentError>([&] { conv(tensor, other, options); });
  };
  EXPECT_THAT(refusal(iota({4}), iota({4}), {}),
              HasSubstr("[conv] expected a tensor and a kernel"));
  EXPECT_THAT(refusal(input, iota({4, 4, 3, 1}), {}), HasSubstr("{2, 4, 5} and {4, 4, 3, 1}"));
  EXPECT_THAT(refusal(input, iota({4, 2, 3}), {}), HasSubstr("2 * 1 != 4"));
  EXPECT_THAT(refusal(input, iota({4, 4, 6}), {}), HasSubstr("does not fit"));
  EXPECT_THAT(refusal(input, kernel, {.strides = Axes{1, 1}}), HasSubstr("strides"));
  EXPECT_THAT(refusal(input, kernel, {.strides = Axes{0}}), HasSubstr("{0}"));
  EXPECT_THAT(refusal(input, kernel, {.padding = {{1, 1}, {1, 1}}}), HasSubstr("padding"));
  EXPECT_THAT(refusal(input, kernel, {.kernel_dilation = Axes{-1}}), HasSubstr("kernel_dilation"));
  EXPECT_THAT(refusal(input, kernel, {.batch_group_size = 3}), HasSubstr("batch_group_size 3"));
  EXPECT_THAT(refusal(input, kernel, {.feature_group_size = 2, .batch_group_size = 2}),
              HasSubstr("one of them 1"));
  EXPECT_THAT(refusal(input, iota({3, 2, 3}), {.feature_group_size = 2}), HasSubstr("must divide"));
  EXPECT_THAT(refusal(input, kernel, {.input_permutation = Axes{0, 1}}),
              HasSubstr("input_permutation {0, 1}"));
  EXPECT_THAT(refusal(input, kernel, {.output_permutation = Axes{0, 1, 1}}),
              HasSubstr("given twice"));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(refusal(input, kernel, {.padding = {{huge, huge}}}), HasSubstr("out of range"));
  EXPECT_THAT(message_of<UnsupportedError>([&] {
                conv(input, kernel, {.padding = {{1 << 30, 1 << 30}}});
              }),
              HasSubstr("at most 2147483647 elements"));
}

}  // namespace
}  // namespace mlxnx
