// Tensors handed over in other layouts are really laid out like that, and hold what they should.
#include "replay/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replay/runner.h"
#include "tensor/node.h"

namespace mlxnx::cli {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<std::int64_t> strides(const Tensor& tensor) {
  const mlx_array array = tensor.node().array.raw();
  const std::size_t* values = mlx_array_strides(array);
  return {values, values + mlx_array_ndim(array)};
}

// Small, and beyond what is computed at once.
const std::vector<Shape> kShapes = {{2, 3, 4}, {20, 30, 40}};

std::vector<float> values_of(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return values;
}

Tensor lay_out(const std::vector<float>& values, const Shape& shape, Layout layout) {
  return lay_out(std::as_bytes(std::span(values)), {DType::f32, shape}, layout);
}

void expect_strides(Layout layout, const Shape& shape, const std::vector<std::int64_t>& expected) {
  const std::vector<float> values = values_of(shape);
  const Tensor tensor = lay_out(values, shape, layout);
  EXPECT_TRUE(tensor.node().ready.load()) << name(layout);
  EXPECT_EQ(tensor.node().array.block(), nullptr) << name(layout);
  EXPECT_FALSE(mlxc::is_row_contiguous(tensor.node().array)) << name(layout);
  EXPECT_THAT(strides(tensor), ElementsAreArray(expected)) << name(layout);
  EXPECT_THAT(tensor.to_vector<float>(), ElementsAreArray(values)) << name(layout);
}

TEST(Layout, IsThatOfTheMemory) {
  for (const Shape& shape : kShapes) {
    const auto [a, b, c] = std::tuple(shape[0], shape[1], shape[2]);
    expect_strides(Layout::kReversed, shape, {1, a, a * b});
    expect_strides(Layout::kPermuted, shape, {b, 1, a * b});
    expect_strides(Layout::kStrided, shape, {8 * b * c, 4 * c, 2});
    expect_strides(Layout::kSliced, shape, {(b + 2) * (c + 2), c + 2, 1});
    expect_strides(Layout::kFlipped, shape, {-b * c, -c, -1});
    const Tensor rows = lay_out(values_of(shape), shape, Layout::kRow);
    EXPECT_TRUE(mlxc::is_row_contiguous(rows.node().array));
    EXPECT_THAT(strides(rows), ElementsAre(b * c, c, 1));
  }
}

TEST(Layout, RepeatsWhatIsEqualAlongAnAxis) {
  for (const std::int64_t dim : {3, 3000}) {
    std::vector<float> values(static_cast<std::size_t>(2 * dim), 5);
    std::fill_n(values.begin(), dim, 4);
    const Tensor rows = lay_out(values, {2, 1, dim}, Layout::kBroadcast);
    EXPECT_THAT(strides(rows), ElementsAre(1, 0, 0));
    EXPECT_THAT(rows.to_vector<float>(), ElementsAreArray(values));
  }
  const Tensor one = lay_out({7, 7, 7, 7}, {2, 2}, Layout::kBroadcast);
  EXPECT_THAT(strides(one), ElementsAre(0, 0));
  const Tensor none = lay_out({1, 2, 3, 4}, {2, 2}, Layout::kBroadcast);
  EXPECT_THAT(strides(none), ElementsAre(2, 1));
  EXPECT_THAT(none.to_vector<float>(), ElementsAre(1, 2, 3, 4));
}

TEST(Layout, OfScalarsAndOfNothing) {
  for (const Layout layout : kLayouts) {
    const Tensor scalar = lay_out({7}, {}, layout);
    EXPECT_EQ(scalar.shape(), Shape{}) << name(layout);
    EXPECT_EQ(scalar.item<float>(), 7) << name(layout);
    EXPECT_EQ(scalar.node().array.block() != nullptr, layout == Layout::kRow) << name(layout);
    EXPECT_EQ(lay_out({}, {2, 0}, layout).shape(), (Shape{2, 0})) << name(layout);
  }
}

TEST(Layout, HoldsElementsOfEveryType) {
  for (const DType type : kDTypes) {
    std::vector<std::byte> bytes(6 * size_bytes(type));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i + 1);
    for (const Layout layout : kLayouts) {
      const Tensor tensor = cli::lay_out(bytes, {type, {2, 3}}, layout);
      EXPECT_EQ(tensor.to_bytes(), bytes) << mlxnx::name(type) << ' ' << name(layout);
    }
  }
}

}  // namespace
}  // namespace mlxnx::cli
