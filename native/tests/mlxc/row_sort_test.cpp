// The kernel that sorts rows against a stable sort.
#include "mlxc/row_sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/graph.h"

namespace mlxnx::mlxc {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> sorted(const std::vector<float>& values, int length) {
  const int rows = static_cast<int>(values.size()) / length;
  const int shape[] = {rows, length};
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const Array result = row_sort(from_bytes(values.data(), shape, MLX_FLOAT32));
  Engine::process().run([&] { eval(ArrayVector(std::span<const Array>(&result, 1))); });
  const auto* const data = static_cast<const float*>(data_pointer(result));
  return {data, data + values.size()};
}

// So that the signs of zeros count; all NaN are one.
std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values)
    result.push_back(std::isnan(value) ? 0xffffffff : std::bit_cast<std::uint32_t>(value));
  return result;
}

std::vector<float> stable(std::vector<float> values, int length) {
  const auto is_before = [](float a, float b) {
    return a < b || (!std::isnan(a) && std::isnan(b));
  };
  for (auto row = values.begin(); row != values.end(); row += length)
    std::stable_sort(row, row + length, is_before);
  return values;
}

TEST(RowSort, OrdersRowsOfEveryLength) {
  std::mt19937 draw(1);
  for (const int length : {1, 2, 3, 17, 1'000, 70'000}) {
    std::vector<float> values;
    std::normal_distribution<float> numbers(0, 1e3F);
    for (int i = 0; i < 3 * length; ++i) values.push_back(numbers(draw));
    EXPECT_EQ(sorted(values, length), stable(values, length)) << length;
  }
}

TEST(RowSort, OrdersNumbersOfAllBits) {
  std::mt19937 draw(2);
  std::vector<float> values;
  for (int i = 0; i < 50'000; ++i) values.push_back(std::bit_cast<float>(std::uint32_t(draw())));
  EXPECT_EQ(bits(sorted(values, 25'000)), bits(stable(values, 25'000)));
}

TEST(RowSort, KeepsTheOrderOfEquals) {
  std::mt19937 draw(3);
  const std::vector<float> few = {0, -0.0F, 1, -1, kInfinity, -kInfinity, std::nanf(""), 1e-45F};
  std::vector<float> values;
  for (int i = 0; i < 6'000; ++i) values.push_back(few[draw() % few.size()]);
  EXPECT_EQ(bits(sorted(values, 2'000)), bits(stable(values, 2'000)));
  EXPECT_EQ(bits(sorted({0, -0.0F, 0}, 3)), bits({0, -0.0F, 0}));
  EXPECT_EQ(bits(sorted({-0.0F, -1}, 2)), bits({-1, -0.0F}));
}

}  // namespace
}  // namespace mlxnx::mlxc
