// Functions of single elements that MLX fuses, here on the CPU.
#include "mlxc/element_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "mlx/c/ops.h"
#include "mlxc/check.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/graph.h"
#include "mlxc/stream.h"

namespace mlxnx::mlxc {
namespace {

// x / (1 + exp(-x)) · y + 2, by MLX's own nodes.
Array gate(const Array& x, const Array& y) {
  const mlx_stream stream = current_stream();
  Array open, product, both, raised;
  const Array two = scalar(2.0, DType::f32);
  check(mlx_sigmoid(open.out(), x.raw(), stream), "mlx_sigmoid");
  check(mlx_multiply(product.out(), x.raw(), open.raw(), stream), "mlx_multiply");
  check(mlx_multiply(both.out(), product.raw(), y.raw(), stream), "mlx_multiply");
  check(mlx_add(raised.out(), both.raw(), two.raw(), stream), "mlx_add");
  return raised;
}

TEST(ElementFunctions, AreTracedOnceForAllShapes) {
  int traced = 0;
  std::vector<std::vector<float>> results;
  Engine::process().run([&] {
    const StreamScope stream(Engine::process().stream(Device::kCpu));
    ElementFunction function([&](std::span<const Array> in) {
      ++traced;
      return std::vector{gate(in[0], in[1])};
    });
    for (const int rows : {3, 1, 400}) {
      const std::vector<int> shape = {rows, 5};
      std::vector<float> x, y;
      for (int i = 0; i < 5 * rows; ++i) {
        x.push_back(static_cast<float>(std::sin(i)));
        y.push_back(static_cast<float>(i));
      }
      const std::vector in = {from_bytes(x.data(), shape, MLX_FLOAT32),
                              from_bytes(y.data(), shape, MLX_FLOAT32)};
      const Array result = function(in);
      eval(ArrayVector({&result, 1}));
      EXPECT_THAT(std::vector<int>(result.shape().begin(), result.shape().end()), shape);
      const auto* const data = static_cast<const float*>(data_pointer(result));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float wanted = x[i] / (1 + std::exp(-x[i])) * y[i] + 2;
        ASSERT_NEAR(data[i], wanted, 1e-6 * (2 + std::abs(wanted))) << i << " of " << rows;
      }
    }
  });
  EXPECT_EQ(traced, 1);
}

TEST(ElementFunctions, OfOneNodeAreTracedForEachShape) {
  Engine::process().run([&] {
    const StreamScope stream(Engine::process().stream(Device::kCpu));
    ElementFunction function([&](std::span<const Array> in) {
      Array sum;
      check(mlx_add(sum.out(), in[0].raw(), in[1].raw(), current_stream()), "mlx_add");
      return std::vector{sum};
    });
    for (const int size : {2, 7}) {
      const std::vector<float> ones(static_cast<std::size_t>(size), 1);
      const Array one = from_bytes(ones.data(), {&size, 1}, MLX_FLOAT32);
      const std::vector in = {one, one};
      const Array result = function(in);
      eval(ArrayVector({&result, 1}));
      EXPECT_EQ(result.size(), size);
      EXPECT_EQ(static_cast<const float*>(data_pointer(result))[size - 1], 2);
    }
  });
}

}  // namespace
}  // namespace mlxnx::mlxc
