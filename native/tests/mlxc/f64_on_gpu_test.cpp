// f64 where the device is a GPU; without one the setting changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "mlxnx/mlxnx.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

class F64 : public testing::Test {
 protected:
  F64() : before_(f64_on_gpu()) {}
  ~F64() override { set_f64_on_gpu(before_); }

  static Tensor third() { return tensor({1.0}, DType::f64) / tensor({3.0}, DType::f64); }
  static bool has_gpu() { return is_available(Device::kGpu); }

 private:
  F64OnGpu before_;
};

TEST_F(F64, IsComputedInFullOnEveryDevice) {
  set_f64_on_gpu(F64OnGpu::kCpu);
  const std::uint64_t before = f64_ops_on_cpu();
  EXPECT_EQ(third().item<double>(), 1.0 / 3.0);
  if (default_device() == Device::kGpu) {
    EXPECT_GT(f64_ops_on_cpu(), before);
  } else {
    EXPECT_EQ(f64_ops_on_cpu(), before);
  }
}

TEST_F(F64, MeetsOtherTypesAcrossDevices) {
  set_f64_on_gpu(F64OnGpu::kCpu);
  const Tensor f32 = tensor({2.0}) * tensor({3.0});
  const Tensor back = as_type(f32 / as_type(third(), DType::f64), DType::f32) + f32;
  EXPECT_FLOAT_EQ(back.item<float>(), 24.0F);
}

TEST_F(F64, MayBeWhatBytesAreReadAsOnTheWayToAnotherType) {
  set_f64_on_gpu(F64OnGpu::kCpu);
  const Tensor bits = bitcast(tensor({1.5}, DType::f64), DType::s64);
  const TensorType wanted{DType::f32, {1}};
  const Tensor number = ops::invoke_as(ops::op("bitcast"), {bits}, {{"type", DType::f64}}, wanted);
  EXPECT_EQ(number.type(), wanted);
  EXPECT_EQ(number.to_vector<float>(), std::vector{1.5F});
}

TEST_F(F64, InCompiledFunctionsIsComputedInFull) {
  set_f64_on_gpu(F64OnGpu::kCpu);
  const auto f = jit([](const Tensor& x) { return sum(as_type(x, DType::f64) / 3.0) + 1.0; });
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(f(tensor({1.0, 1.0, 1.0, 1.0})).item<double>(), 4 * (1.0 / 3.0) + 1.0);
}

TEST_F(F64, CanBeAnErrorOnAGpu) {
  set_f64_on_gpu(F64OnGpu::kRaise);
  if (default_device() == Device::kGpu) {
    EXPECT_THROW(third(), UnsupportedError);
    const DeviceScope on_cpu(Device::kCpu);
    EXPECT_EQ(third().item<double>(), 1.0 / 3.0);
  } else {
    EXPECT_EQ(third().item<double>(), 1.0 / 3.0);
  }
}

}  // namespace
}  // namespace mlxnx
