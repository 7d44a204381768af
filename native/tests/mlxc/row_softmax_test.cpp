// The softmax kernel against sums of doubles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/kernel_node.h"
#include "mlxc/row_kernels.h"

namespace mlxnx::mlxc {
namespace {

class RowSoftmax : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernels()) GTEST_SKIP() << "there are no kernels of our own here";
  }
};

std::vector<float> softmax_of(const std::vector<float>& values, int length) {
  const int rows = static_cast<int>(values.size()) / length;
  const int shape[] = {rows, length};
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const Array result = softmax_rows(from_bytes(values.data(), shape, MLX_FLOAT32), {rows, length});
  Engine::process().run([&] { eval(ArrayVector(std::span<const Array>(&result, 1))); });
  const auto* const data = static_cast<const float*>(data_pointer(result));
  return {data, data + values.size()};
}

TEST_F(RowSoftmax, IsPreciseForEveryLength) {
  for (const int length : {1, 2, 15, 16, 17, 100, 512, 513, 5'000, 200'000}) {
    std::vector<float> values;  // whose differences are exact
    for (int i = 0; i < 3 * length; ++i)
      values.push_back(static_cast<float>(std::round(160 * std::sin(0.7 * i * i + 1)) / 8));
    const std::vector<float> got = softmax_of(values, length);
    for (int row = 0; row < 3; ++row) {
      const float* const in = values.data() + row * length;
      double total = 0;
      for (int i = 0; i < length; ++i) total += std::exp(double(in[i]) - 20);
      for (int i = 0; i < length; ++i) {
        const double wanted = std::exp(double(in[i]) - 20) / total;
        ASSERT_NEAR(got[static_cast<std::size_t>(row * length + i)] / wanted, 1, 4e-7)
            << i << " of " << length;
      }
    }
  }
}

TEST_F(RowSoftmax, AtInfinitiesAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> far = softmax_of({0, -kInfinity, -1e30F, -200}, 4);
  EXPECT_THAT(far, testing::ElementsAre(1, 0, 0, 0));
  const float lowest = std::numeric_limits<float>::lowest();
  EXPECT_THAT(softmax_of({lowest, lowest}, 2), testing::Each(0.5F));
  for (const float odd : {kInfinity, std::nanf("")}) {
    std::vector<float> values(40, 1);
    values[21] = odd;
    EXPECT_TRUE(std::isnan(softmax_of(values, 40)[21])) << odd;
  }
  EXPECT_THAT(softmax_of({-kInfinity, -kInfinity}, 2), testing::Each(testing::IsNan()));
}

}  // namespace
}  // namespace mlxnx::mlxc
