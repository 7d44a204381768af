// Convolutions, held to plain sums in doubles.
#include "kernels/convolution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/each_kind.h"

namespace mlxnx::kernels {
namespace {

using ConvolutionKernels = testing_support::EachKind;

using Sizes = std::array<std::int64_t, 5>;

// Numbers of an array whose axes lie in memory in some order.
struct Numbers5 {
  Sizes sizes, steps;
  std::vector<float> values;

  Numbers5(const Sizes& sizes, std::mt19937& random) : sizes(sizes) {
    std::array<std::size_t, 5> order;
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Channels last, channels first, or any other order.
    if (random() % 3 == 0) {
      std::rotate(order.begin() + 1, order.begin() + 2, order.end());
    } else if (random() % 2 == 0) {
      std::shuffle(order.begin(), order.end(), random);
    }
    std::int64_t step = 1;
    for (std::size_t i = 5; i-- > 0;) {
      steps[order[i]] = step;
      step *= sizes[order[i]];
    }
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < step; ++i) values.push_back(normal(random));
  }
  std::size_t place(const Sizes& at) const {
    return static_cast<std::size_t>(
        std::inner_product(at.begin(), at.end(), steps.begin(), std::int64_t{0}));
  }
};

struct Geometry {
  std::int64_t batch, channels, filters;
  std::array<ConvolvedAxis, 3> axes;

  std::string text() const {
    std::string result =
        std::to_string(batch) + " " + std::to_string(channels) + " " + std::to_string(filters);
    for (const ConvolvedAxis& axis : axes) {
      for (const std::int64_t value :
           {axis.input, axis.kernel, axis.output, axis.stride, axis.dilation, axis.low})
        result += " " + std::to_string(value);
      result += ",";
    }
    return result;
  }
};

void expect_convolved(const Geometry& g, std::mt19937& random, int threads) {
  Sizes input{g.batch, g.channels}, kernel{g.filters, g.channels}, out{g.batch, g.filters};
  for (std::size_t i = 0; i < 3; ++i) {
    input[i + 2] = g.axes[i].input;
    kernel[i + 2] = g.axes[i].kernel;
    out[i + 2] = g.axes[i].output;
  }
  const Numbers5 x(input, random), w(kernel, random);
  Numbers5 y(out, random);
  Convolution call;
  call.batch = g.batch;
  call.channels = g.channels;
  call.filters = g.filters;
  call.axes = g.axes;
  call.input = x.values.data();
  call.input_steps = x.steps;
  call.kernel = w.values.data();
  call.kernel_steps = w.steps;
  call.out = y.values.data();
  call.out_steps = y.steps;
  const ConvolutionPlan plan(call, threads);
  for (std::int64_t i = plan.copies(); i-- > 0;) plan.copy(i);
  for (std::int64_t i = plan.parts(); i-- > 0;) plan.compute(i);

  // All results of small convolutions, and of large ones as many as are soon added up.
  const auto products = w.values.size() / static_cast<std::size_t>(g.filters);
  const auto stride = static_cast<std::int64_t>(products * y.values.size() / 100'000 + 1);
  const auto count = static_cast<std::int64_t>(y.values.size());
  for (std::int64_t place = static_cast<std::int64_t>(random()) % std::min(stride, count);
       place < count; place += stride) {
    Sizes at;
    std::int64_t left = place;
    for (std::size_t i = 5; i-- > 0; left /= out[i]) at[i] = left % out[i];
    double sum = 0, size = 0;
    for (std::size_t k = 0; k < products; ++k) {
      Sizes from{at[0]}, of{at[1]};
      auto rest = static_cast<std::int64_t>(k);
      bool is_inside = true;
      for (std::size_t i = 5; i-- > 1; rest /= kernel[i]) {
        of[i] = rest % kernel[i];
        if (i == 1) {
          from[i] = of[i];
          continue;
        }
        const ConvolvedAxis& axis = g.axes[i - 2];
        from[i] = at[i] * axis.stride + of[i] * axis.dilation - axis.low;
        is_inside &= from[i] >= 0 && from[i] < axis.input;
      }
      if (!is_inside) continue;
      const double product =
          static_cast<double>(x.values[x.place(from)]) * static_cast<double>(w.values[w.place(of)]);
      sum += product;
      size += std::abs(product);
    }
    ASSERT_NEAR(static_cast<double>(y.values[y.place(at)]), sum, 1e-6 * (size + 1)) << g.text();
  }
}

std::int64_t drawn(std::mt19937& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(high - low + 1));
}

TEST_F(ConvolutionKernels, ComputesRandomGeometries) {
  for_each_kind([&] {
    std::mt19937 random(1);
    for (int i = 0; i < 400; ++i) {
      Geometry g{
          drawn(random, 1, 3), drawn(random, 1, 20), drawn(random, 1, i % 2 == 0 ? 8 : 70), {}};
      const std::size_t rank = random() % 3 + 1;
      for (std::size_t a = 3 - rank; a < 3; ++a) {
        ConvolvedAxis& axis = g.axes[a];
        axis.input = drawn(random, 1, rank == 1 ? 100 : rank == 2 ? 12 : 6);
        axis.kernel = drawn(random, 1, rank == 1 ? 30 : 4);
        axis.stride = i % 3 == 0 ? drawn(random, 1, 3) : 1;
        axis.dilation = drawn(random, 1, 2);
        axis.low = drawn(random, -2, 3);
        const std::int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
        const std::int64_t padded = axis.input + axis.low + drawn(random, -1, 3);
        axis.output = std::max<std::int64_t>(1, (padded - reach) / axis.stride + 1);
      }
      ASSERT_NO_FATAL_FAILURE(expect_convolved(g, random, 1 + i % 3));
    }
  });
}

TEST_F(ConvolutionKernels, AddsUpManyProducts) {
  for_each_kind([&] {
    std::mt19937 random(2);
    for (const std::int64_t filters : {1, 3, 16, 32, 40}) {
      // Of many channels, and of a kernel as large as an image, which gradients by kernels have.
      const Geometry deep{1, 700, filters, {{{}, {5, 3, 5, 1, 1, 1}, {6, 3, 6, 1, 1, 1}}}};
      ASSERT_NO_FATAL_FAILURE(expect_convolved(deep, random, 2));
      const Geometry wide{3, 2, filters, {{{}, {30, 30, 3, 1, 1, 1}, {40, 40, 3, 1, 1, 1}}}};
      ASSERT_NO_FATAL_FAILURE(expect_convolved(wide, random, 2));
      const Geometry line{1, 1, filters, {{{}, {}, {1500, 700, 801, 1, 1, 0}}}};
      ASSERT_NO_FATAL_FAILURE(expect_convolved(line, random, 2));
    }
  });
}

}  // namespace
}  // namespace mlxnx::kernels
