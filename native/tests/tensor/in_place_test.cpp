#include "tensor/in_place.h"

#include <gtest/gtest.h>

#include <vector>

#include "mlxc/host_kernels.h"
#include "mlxc/memory_of_arrays.h"
#include "mlxnx/mlxnx.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using tensors::put_in_place;

// Too large to be kept by the host alone.
constexpr std::int64_t kRows = 200, kColumns = 64;

Tensor large() {
  Tensor tensor = min(iota({kRows, kColumns}, {.type = DType::f32}), Tensor(0.0F)) + 1.0F;
  eval(tensor);
  return tensor;
}

Tensor piece() { return constant(7.0, DType::f32, {2, 3}); }

class InPlace : public testing::Test {
 protected:
  void SetUp() override {
    if (!mlxc::AtOnceScope::is_allowed() || default_device() != Device::kCpu)
      GTEST_SKIP() << "nothing is computed at once here";
  }
};

TEST_F(InPlace, ASliceIsWrittenToMemoryThatNobodyElseHas) {
  Tensor tensor = large();
  const void* const before = mlxc::data_pointer(tensor.node().array);
  const Tensor wanted = put_slice(Tensor(tensor), {198, 5}, piece());
  eval(wanted);
  ASSERT_TRUE(put_in_place(tensor, {198, 5}, piece()));
  EXPECT_EQ(mlxc::data_pointer(tensor.node().array), before);
  EXPECT_EQ(tensor.to_bytes(), wanted.to_bytes());
}

TEST_F(InPlace, WhatOthersSeeStaysAsItIs) {
  Tensor tensor = large();
  const auto refuses = [&](const auto& other) {
    EXPECT_FALSE(put_in_place(tensor, {0, 0}, piece()));
    EXPECT_EQ(sum(other).template item<float>(), static_cast<float>(other.size()));
  };
  refuses(Tensor(tensor));
  const Tensor view = slice(tensor, {0, 0}, {kRows - 1, kColumns});
  refuses(view);
  const Tensor pending = tensor * constant(1.0, DType::f32, {kRows, kColumns});
  refuses(pending);
  {
    const TensorView borrowed(tensor);
    EXPECT_FALSE(put_in_place(tensor, {0, 0}, piece()));
  }
}

TEST_F(InPlace, WhatDoesNotFitIsLeftToTheOp) {
  Tensor tensor = large();
  EXPECT_FALSE(put_in_place(tensor, {0, 0}, constant(std::int64_t{7}, DType::s32, {2, 3})));
  EXPECT_FALSE(put_in_place(tensor, {kRows - 1, 0}, piece()));
  EXPECT_FALSE(put_in_place(tensor, {0, -1}, piece()));
  Tensor pending = large() * constant(2.0, DType::f32, {kRows, kColumns});
  EXPECT_FALSE(put_in_place(pending, {0, 0}, piece()));
}

TEST_F(InPlace, SlicesOfWhatIsThereAreThere) {
  const Tensor numbers = iota({kRows, kColumns}, {.type = DType::f32});
  const Tensor turned = transpose(numbers);
  eval({numbers, turned});
  const auto is_ready = [](const Tensor& tensor) { return tensor.node().ready.load(); };
  const Tensor few = slice(numbers, {3, 2}, {2, 3}, {.strides = Axes{1, 2}});
  EXPECT_TRUE(is_ready(few));
  EXPECT_EQ(few.to_vector<float>(), (std::vector<float>{194, 196, 258, 260}));
  const Tensor many = slice(numbers, {1, 0}, {150, kColumns});
  EXPECT_TRUE(is_ready(many));
  EXPECT_EQ(slice(many, {149, 63}, {1, 1}).item<float>(), 150 * 64 + 63);
  EXPECT_EQ(sum(many - slice(numbers, {0, 0}, {150, kColumns})).item<float>(), 64.0F * 150 * 64);
  const Tensor columns = slice(turned, {0, 10}, {kColumns, 150}, {.strides = Axes{1, 2}});
  EXPECT_TRUE(is_ready(columns));
  EXPECT_EQ(slice(columns, {2, 1}, {1, 2}).to_vector<float>(),
            (std::vector<float>{12 * 64 + 2, 14 * 64 + 2}));
}

TEST_F(InPlace, WhatWasComputedOnTheWayIsThere) {
  const auto is_there = [](const Tensor& tensor) { return tensor.node().ready.load(); };
  const Tensor doubled = large() * constant(2.0, DType::f32, {kRows, kColumns});
  EXPECT_FALSE(is_there(slice(doubled, {1, 0}, {1, 1})));
  ASSERT_FALSE(is_there(doubled));
  EXPECT_EQ(sum(slice(doubled, {3, 2}, {2, 3})).item<float>(), 12.0F);
  EXPECT_TRUE(is_there(slice(doubled, {3, 2}, {2, 3})));
  EXPECT_TRUE(is_there(doubled));
  // What nothing needed is not.
  const Tensor other = large() * constant(3.0, DType::f32, {kRows, kColumns});
  EXPECT_EQ(sum(large() - 1.0F).item<float>(), 0.0F);
  EXPECT_FALSE(is_there(slice(other, {3, 2}, {2, 3})));
  EXPECT_EQ(slice(other, {3, 2}, {1, 2}).to_vector<float>(), (std::vector<float>{3, 3}));
}

}  // namespace
}  // namespace mlxnx
