// Memory that can't be had: each allocation that MLX makes on the CPU fails once. That is an error,
// and nothing else is harmed. Failures one after the other leave the engine as it was; their number
// is MLXNX_FAILURES.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#if defined(__linux__)

#include <array>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "mlx/c/transforms.h"
#include "mlxc/engine.h"
#include "mlxc/loss.h"
#include "mlxc/memory.h"
#include "mlxnx/mlxnx.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr std::int64_t kSide = 80;  // more than is computed at once

Tensor ramp(const Shape& shape) { return divide(sin(iota(shape, {.type = DType::f32})), 3.0f); }

Tensor ready(Tensor tensor) {
  eval(tensor);
  return tensor;
}

Tensor matrix() {
  static const Tensor values = ready(ramp({kSide, kSide}));
  return values;
}

Tensor definite() {
  static const Tensor values = ready(
      add(dot(matrix(), transpose(matrix())), multiply(eye(kSide, {.type = DType::f32}), 50.0f)));
  return values;
}

Tensor chain() {
  Tensor x = matrix();
  for (int i = 0; i < 30; ++i) x = sin(add(x, matrix()));
  return x;
}

Tensor of_program() {
  return jit([](const Tensor& x) { return tanh(dot(sin(x), x)) + 1.0f; })(matrix());
}

// Warm, so that it is fused where a compiler can be had.
Tensor of_fused_program() {
  static const auto program = [] {
    auto made = jit([](const Tensor& x) { return tanh(dot(sin(x) * x, x)) * x; });
    for (int i = 0; i < 20; ++i) eval(made(matrix()));
    return made;
  }();
  return program(matrix());
}

using Build = Tensor (*)();
using Case = std::pair<const char*, Build>;

const Case kCases[] = {
    {"elementwise", [] { return exp(sin(matrix())); }},
    {"chain", chain},
    {"dot", [] { return dot(matrix(), transpose(matrix())); }},
    {"integer_dot",
     [] {
       return dot(iota({kSide, kSide}), iota({kSide, kSide}));
     }},
    {"sum", [] { return sum(sin(matrix())); }},
    {"cumulative", [] { return cumulative_sum(matrix()); }},
    {"sort", [] { return sort(exp(matrix())); }},
    {"take", [] { return take(matrix(), remainder(iota({6000}), 80)); }},
    {"concatenate",
     [] {
       return concatenate({matrix(), exp(matrix())});
     }},
    {"fft", [] { return abs(fft(matrix())); }},
    {"conv",
     [] {
       return conv(ramp({2, 3, 40, 40}), ramp({4, 3, 3, 3}));
     }},
    {"svd", [] { return linalg::svd(matrix()).s; }},
    {"qr", [] { return linalg::qr(matrix()).r; }},
    {"eigh", [] { return linalg::eigh(definite()).eigenvalues; }},
    {"cholesky", [] { return linalg::cholesky(definite()); }},
    {"lu", [] { return linalg::lu(matrix()).u; }},
    {"solve", [] { return linalg::solve(definite(), matrix()); }},
    {"program", of_program},
    {"fused_program", of_fused_program},
};

// Whether reading fails where the `n`-th allocation from now on does.
bool fails(const Tensor& tensor, std::int64_t n) {
  mlxc::fail_allocations(n);
  try {
    eval(tensor);
    mlxc::fail_allocations(0);
    return false;
  } catch (const BackendError& error) {
    mlxc::fail_allocations(0);
    EXPECT_THAT(error.what(), HasSubstr("out of memory: "));
    return true;
  }
}

void skip_with_a_gpu() {
  if (is_available(Device::kGpu)) GTEST_SKIP() << "MLX's allocator of GPUs throws by itself";
}

class Allocation : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { skip_with_a_gpu(); }
  Tensor build() const { return GetParam().second(); }
};

TEST_P(Allocation, ThatFailsIsAnErrorAndTheSameTensorCanBeComputedLater) {
  const std::vector<std::byte> expected = ready(build()).to_bytes();
  std::int64_t n = 1;
  for (Tensor tensor = build(); fails(tensor, n); tensor = build(), ++n) {
    ASSERT_LT(n, 10'000);
    EXPECT_EQ(tensor.to_bytes(), expected) << "after allocation " << n;
  }
  EXPECT_GT(n, 1);
}

TEST_P(Allocation, ThatFailsInTheBackgroundLeavesNobodyWaiting) {
  const std::vector<std::byte> expected = ready(build()).to_bytes();
  for (std::int64_t n = 1; n < 12; ++n) {
    const Tensor tensor = build();
    const Tensor more = add(tensor, 1);
    mlxc::fail_allocations(n);
    async_eval({tensor, more});
    synchronize();
    mlxc::fail_allocations(0);
    EXPECT_EQ(tensor.to_bytes(), expected) << "after allocation " << n;
    EXPECT_EQ(more.to_bytes(), add(tensor, 1).to_bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Allocation, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.first); });

class AllocationFailure : public testing::Test {
 protected:
  void SetUp() override { skip_with_a_gpu(); }
};

TEST_F(AllocationFailure, OfDataIsAnError) {
  const std::vector<float> values(10'000, 1);
  mlxc::fail_allocations(1);
  EXPECT_THROW(Tensor::from_span<float>(values, {10'000}), BackendError);
  mlxc::fail_allocations(0);
}

int failures() {
  const char* const text = std::getenv("MLXNX_FAILURES");
  return text != nullptr ? std::atoi(text) : 200;
}

void expect_healthy() {
  EXPECT_THAT(ready(chain()).to_vector<float>(), SizeIs(kSide * kSide));
  std::vector<Tensor> tensors;
  for (int i = 0; i < 50; ++i) {
    tensors.push_back(chain());
    async_eval(tensors.back());
  }
  for (const Tensor& tensor : tensors) EXPECT_EQ(tensor.to_bytes(), tensors.front().to_bytes());
}

TEST_F(AllocationFailure, OneAfterTheOtherLeavesTheEngineSound) {
  for (const auto& [name, build] : kCases) {
    SCOPED_TRACE(name);
    int failed = 0;
    for (int i = 0; i < failures(); ++i) failed += fails(build(), 1 + i % 2) ? 1 : 0;
    EXPECT_GE(failed, failures() / 3);
    expect_healthy();
  }
}

TEST_F(AllocationFailure, InTheBackgroundLeavesTheEngineSound) {
  for (const auto& [name, build] : kCases) {
    SCOPED_TRACE(name);
    for (int i = 0; i < failures(); ++i) {
      const Tensor tensor = build();
      mlxc::fail_allocations(1 + i % 3);
      async_eval(tensor);
      synchronize();
      mlxc::fail_allocations(0);
    }
    expect_healthy();
  }
}

TEST_F(AllocationFailure, OverTheLimitLeavesTheEngineSound) {
  const std::size_t before = set_memory_limit(std::size_t{1} << 30);
  for (int i = 0; i < failures(); ++i)
    EXPECT_THROW(broadcast(Tensor(1.0f), {1 << 14, 1 << 15}) + iota({1 << 15}), BackendError);
  set_memory_limit(before);
  expect_healthy();
}

// Fails a kernel on its stream's thread: not under `eval`, which runs such kernels elsewhere. MLX
// reaches their allocations last.
void lose_a_kernel() {
  const mlxc::Generation before = mlxc::generation();
  for (int n = 30; n > 0 && mlxc::generation() == before; --n) {
    const Tensor tensor = linalg::svd(matrix()).s;
    mlxc::Engine::current().run([&tensor, n] {
      const mlxc::ArrayVector arrays(std::span(&tensor.node().array, 1));
      mlxc::fail_allocations(n);
      mlx_eval(arrays.raw());
      mlxc::fail_allocations(0);
      mlxc::clear_pending_error();
    });
  }
}

TEST_F(AllocationFailure, InAKernelLosesWhatWasNotEvaluated) {
  const Tensor computed = ready(exp(matrix()));
  const Tensor pending = exp(sin(matrix()));
  const mlxc::Generation before = mlxc::generation();
  lose_a_kernel();
  ASSERT_GT(mlxc::generation(), before) << "no kernel has failed";
  const Tensor derived = add(pending, 1);
  for (int i = 0; i < 2; ++i) {
    for (const Tensor& lost : {pending, derived}) {
      try {
        eval(lost);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const BackendError& error) {
        EXPECT_THAT(error.what(), HasSubstr("[eval] lost, because a computation failed"));
        EXPECT_THAT(error.what(), HasSubstr("out of memory"));
      }
    }
  }
  const auto twice = jit([](const Tensor& x) { return x + x; });
  EXPECT_THROW(twice(pending), BackendError);
  EXPECT_EQ(ready(exp(matrix())).to_bytes(), computed.to_bytes());
  expect_healthy();
}

}  // namespace
}  // namespace mlxnx

#endif
