// Tensors from everything that C++ holds numbers in, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "error_of.h"
#include "mlxnx/literal.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;

TEST(TensorLiteral, InfersTypesAsNxDoes) {
  EXPECT_EQ(tensor({1, 2}).dtype(), DType::s32);
  EXPECT_EQ(tensor({1.0, 2.0}).dtype(), DType::f32);
  EXPECT_EQ(tensor({1, 2.5F}).dtype(), DType::f32);
  EXPECT_EQ(tensor({true, false}).dtype(), DType::u8);
  EXPECT_EQ(tensor({true, 7}).dtype(), DType::s32);
  EXPECT_EQ(tensor({std::complex<double>(1, 2), 1.0}).dtype(), DType::c64);
  EXPECT_EQ(tensor({1, std::int64_t{1} << 40}).dtype(), DType::s64);
  EXPECT_EQ(tensor(1).dtype(), DType::s32);
  EXPECT_EQ(tensor(1.0).dtype(), DType::f32);
  EXPECT_EQ(tensor(true).dtype(), DType::u8);
  EXPECT_EQ(tensor(~std::uint64_t{0}).dtype(), DType::u64);
  EXPECT_EQ(tensor(std::complex<float>(0, 1)).dtype(), DType::c64);
}

TEST(TensorLiteral, TakesAListPerAxis) {
  const Tensor matrix = tensor({{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(matrix.shape(), (Shape{2, 3}));
  EXPECT_THAT(matrix.to_vector<std::int32_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(tensor({{{1.0}, {2.0}}}).shape(), (Shape{1, 2, 1}));
  EXPECT_EQ(tensor({{1}}).shape(), (Shape{1, 1}));
  EXPECT_EQ(tensor(3).shape(), Shape{});
}

TEST(TensorLiteral, MakesEmptyTensors) {
  EXPECT_EQ(tensor({}).type(), (TensorType{DType::f32, {0}}));
  const Tensor rows = tensor({Literal(std::vector<int>{}), Literal(std::vector<int>{})});
  EXPECT_EQ(rows.shape(), (Shape{2, 0}));
  EXPECT_TRUE(rows.to_vector<float>().empty());
}

TEST(TensorLiteral, EncodesInTheTypeAskedFor) {
  EXPECT_THAT(tensor({1, 2, 3}, DType::f64).to_vector<double>(), ElementsAre(1.0, 2.0, 3.0));
  EXPECT_THAT(tensor({-1, 256}, DType::u8).to_vector<std::uint8_t>(), ElementsAre(255, 0));
  EXPECT_THAT(tensor({1.9, -1.9}, DType::s16).to_vector<std::int16_t>(), ElementsAre(1, -1));
  EXPECT_EQ(tensor(0.1, DType::f64).item<double>(), 0.1);
  EXPECT_THAT(tensor({1}, DType::c64).to_vector<std::complex<float>>(),
              ElementsAre(std::complex<float>(1, 0)));
}

TEST(TensorLiteral, RefusesListsOfDifferentShapes) {
  const std::string text = error_of<ShapeError>([] { tensor({{1, 2}, {3}}); });
  EXPECT_THAT(text, HasSubstr("[tensor]"));
  EXPECT_THAT(text, HasSubstr("{2} at position 0 and {1} at position 1"));
  EXPECT_THROW(tensor({{1, 2}, 3}), ShapeError);
  EXPECT_THROW(tensor({1, {2, 3}}), ShapeError);
  EXPECT_THROW(tensor({{{1}, {2}}, {{3}, {4, 5}}}), ShapeError);
  EXPECT_THROW(tensor(std::vector<std::vector<int>>{{1}, {}}), ShapeError);
}

TEST(TensorLiteral, KeepsTheElementTypeOfContainers) {
  EXPECT_EQ(tensor(std::vector<double>{1, 2}).dtype(), DType::f64);
  EXPECT_EQ(tensor(std::vector<std::int64_t>{1, 2}).dtype(), DType::s64);
  EXPECT_EQ(tensor(std::array<std::uint8_t, 3>{1, 2, 3}).type(), (TensorType{DType::u8, {3}}));
  EXPECT_EQ(tensor(std::vector<bool>{true, false}).dtype(), DType::u8);
  const std::vector<float> values = {1, 2, 3};
  EXPECT_THAT(tensor(std::span(values).subspan(1)).to_vector<float>(), ElementsAre(2, 3));
  EXPECT_EQ(tensor(std::vector<std::complex<double>>{{1, 2}}).dtype(), DType::c64);
}

TEST(TensorLiteral, TakesNestedContainersAndCasts) {
  const std::vector<std::vector<float>> rows = {{1, 2}, {3, 4}, {5, 6}};
  EXPECT_EQ(tensor(rows).type(), (TensorType{DType::f32, {3, 2}}));
  EXPECT_THAT(tensor(rows, DType::s8).to_vector<std::int8_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(tensor(std::vector<double>{0.5}, DType::f16).dtype(), DType::f16);
}

TEST(Tensor, ConvertsNumbersToScalars) {
  const Tensor integer = 7;
  EXPECT_EQ(integer.type(), (TensorType{DType::s32, {}}));
  const Tensor real = 0.5F;
  EXPECT_EQ(real.dtype(), DType::f32);
  EXPECT_EQ(Tensor().item<float>(), 0.0F);
  EXPECT_EQ(Tensor(true).dtype(), DType::u8);
}

TEST(Tensor, ReadsBackWhatItWasMadeOf) {
  const std::vector<std::int64_t> values = {std::numeric_limits<std::int64_t>::min(), -1, 0,
                                            std::numeric_limits<std::int64_t>::max()};
  const Tensor made = Tensor::from_span(std::span<const std::int64_t>(values), {2, 2});
  EXPECT_EQ(made.to_vector<std::int64_t>(), values);
  EXPECT_EQ(made.byte_size(), 32U);
  const std::vector<std::byte> bytes = made.to_bytes();
  EXPECT_EQ(Tensor::from_bytes(bytes, made.type()).to_vector<std::int64_t>(), values);
  EXPECT_EQ(made.size(), 4);
  EXPECT_EQ(made.rank(), 2U);
}

TEST(Tensor, ReadsSpecialValues) {
  const std::vector<float> read = tensor({INFINITY, -INFINITY, NAN, -0.0F}).to_vector<float>();
  EXPECT_EQ(read[0], INFINITY);
  EXPECT_EQ(read[1], -INFINITY);
  EXPECT_TRUE(std::isnan(read[2]));
  EXPECT_TRUE(std::signbit(read[3]));
}

TEST(Tensor, RefusesToReadAsAnotherType) {
  EXPECT_THAT(error_of<TypeError>([] {
                tensor({1, 2}).to_vector<float>();
              }),
              HasSubstr("[to_vector] the tensor has type s32, and f32 was asked for"));
}

TEST(Tensor, RefusesDataOfAnotherLength) {
  const std::vector<float> values(5);
  EXPECT_THAT(error_of<ShapeError>([&] {
                Tensor::from_span(std::span<const float>(values), {2, 3});
              }),
              HasSubstr("f32[2][3] takes 6 elements of 4 bytes, got 20 bytes"));
  EXPECT_THROW(Tensor::from_bytes(std::vector<std::byte>(3), {DType::u16, {1}}), ShapeError);
  EXPECT_THROW(Tensor::from_bytes({}, {DType::u8, {-1}}), ShapeError);
}

TEST(Tensor, GivesASingleElementAsANumber) {
  EXPECT_EQ(tensor({{42}}).item<int>(), 42);
  EXPECT_EQ(tensor(2.5).item<double>(), 2.5);
  EXPECT_EQ(tensor(std::complex<double>(1, 2)).item<std::complex<double>>(),
            std::complex<double>(1, 2));
  EXPECT_THAT(error_of<ShapeError>([] {
                tensor({1, 2}).item<int>();
              }),
              HasSubstr("[to_number] expected a tensor with one element, got s32[2]"));
}

}  // namespace
}  // namespace mlxnx
