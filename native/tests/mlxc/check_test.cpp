// How failures of mlx-c become exceptions, and what is left afterwards.
#include "mlxc/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "error_of.h"
#include "mlx/c/error.h"
#include "mlx/c/ops.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/graph.h"
#include "mlxnx/mlxnx.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "tensor/node.h"

namespace mlxnx::mlxc {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::error_of;

class ErrorCapture : public testing::Test {
 protected:
  ErrorCapture() : stream_(Engine::current().stream(Device::kCpu)) { clear_pending_error(); }
  void TearDown() override {
    EXPECT_FALSE(has_pending_error());
    EXPECT_EQ(mlxnx::add(Tensor(40), Tensor(2)).item<int>(), 42);
  }

  static Array row() {
    const std::array values = {1.0f, 2.0f, 3.0f};
    const std::array dims = {3};
    return from_bytes(values.data(), dims, MLX_FLOAT32);
  }

  // A node that MLX builds and can't compute: strides over an array that is not row-major.
  static Array failing() {
    const Array repeated = broadcast_to(scalar(1.0, DType::f32), {4});
    const std::array shape = {2};
    const std::array<std::int64_t, 1> strides = {1};
    Array result;
    check(mlx_as_strided(result.out(), repeated.raw(), shape.data(), 1, strides.data(), 1, 0,
                         current_stream()),
          "mlx_as_strided");
    return result;
  }

  StreamScope stream_;
};

TEST_F(ErrorCapture, AFailingCallThrowsItsText) {
  const std::string text = error_of<BackendError>([] { reshape(row(), {2, 2}); });
  EXPECT_THAT(text, StartsWith("[mlx_reshape] "));
  EXPECT_THAT(text, HasSubstr("reshape"));
  EXPECT_THAT(text, Not(HasSubstr(".cpp"))) << "the place in mlx-c's source tells a user nothing";
}

TEST_F(ErrorCapture, TheOpUnderWayIsNamed) {
  const OpScope scope("my_op");
  EXPECT_THAT(error_of<BackendError>([] { reshape(row(), {2, 2}); }), StartsWith("[my_op] "));
}

TEST_F(ErrorCapture, TheFirstOfSeveralErrorsIsKept) {
  Array result;
  const std::array dims = {7};
  EXPECT_NE(mlx_reshape(result.out(), row().raw(), dims.data(), 1, current_stream()), 0);
  EXPECT_NE(mlx_matmul(result.out(), scalar(1.0, DType::f32).raw(), row().raw(), current_stream()),
            0);
  EXPECT_THAT(error_of<BackendError>([] { throw_pending_error("several"); }), HasSubstr("reshape"));
  EXPECT_THAT(error_of<BackendError>([] { throw_pending_error("nothing"); }),
              HasSubstr("without a message"));
}

TEST_F(ErrorCapture, PercentSignsAreText) {
  for (const char* hostile : {"50%d_%x%s%n", "%", "100%", "%999999999d"}) {
    _mlx_error("somewhere.cpp", 1, "%s", hostile);
    EXPECT_EQ(error_of<BackendError>([] { throw_pending_error("percent"); }),
              "[percent] " + std::string(hostile));
  }
  EXPECT_THAT(error_of<ArgumentError>([] { device_from_name("%s%n"); }), HasSubstr("\"%s%n\""));
  EXPECT_THAT(error_of<ArgumentError>([] {
                ops::invoke(ops::op("block:LinAlg.QR"), {tensor({{1.0}})},
                            {{"mode", std::string("%s%n%d")}});
              }),
              HasSubstr("\"%s%n%d\""));
}

TEST_F(ErrorCapture, OneThreadDoesNotSeeTheErrorOfAnother) {
  Array result;
  const std::array dims = {7};
  EXPECT_NE(mlx_reshape(result.out(), row().raw(), dims.data(), 1, current_stream()), 0);
  EXPECT_TRUE(has_pending_error());
  std::thread([] {
    EXPECT_FALSE(has_pending_error());
    EXPECT_EQ(mlxnx::add(Tensor(1), Tensor(2)).item<int>(), 3);
    EXPECT_THAT(error_of<BackendError>([] { throw_pending_error("other"); }),
                HasSubstr("without a message"));
  }).join();
  EXPECT_THAT(error_of<BackendError>([] { throw_pending_error("own"); }), HasSubstr("reshape"));
}

TEST_F(ErrorCapture, ManyThreadsFailAtOnceEachWithItsOwnText) {
  std::vector<std::thread> threads;
  for (int i = 1; i <= 8; ++i) {
    threads.emplace_back([i] {
      const StreamScope stream(Engine::current().stream(Device::kCpu));
      for (int round = 0; round < 100; ++round) {
        EXPECT_THAT(error_of<BackendError>([i] { reshape(row(), {1000 + i}); }),
                    HasSubstr(std::to_string(1000 + i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ErrorCapture, AFailingEvaluationThrowsEachTimeAndHarmsNobody) {
  const Tensor bad = tensors::wrap(failing(), {DType::f32, {2}});
  const Tensor good = mlxnx::add(tensor({1.0, 2.0}), tensor({3.0, 4.0}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(error_of<BackendError>([&] {
                  mlxnx::eval({good, bad});
                }),
                StartsWith("[eval] AsStrided"));
    EXPECT_THAT(error_of<BackendError>([&] { bad.to_bytes(); }), StartsWith("[eval] AsStrided"));
  }
  EXPECT_THAT(good.to_vector<float>(), testing::ElementsAre(4, 6));
  EXPECT_THAT(error_of<BackendError>([&] { mlxnx::add(bad, good).to_bytes(); }),
              StartsWith("[eval] AsStrided"));
}

TEST_F(ErrorCapture, AFailureOfAsynchronousEvaluationShowsWhereTheResultIsRead) {
  const Tensor bad = tensors::wrap(failing(), {DType::f32, {2}});
  mlxnx::async_eval({&bad, 1});
  mlxnx::synchronize();
  EXPECT_THAT(error_of<BackendError>([&] { bad.to_bytes(); }), HasSubstr("AsStrided"));
}

TEST_F(ErrorCapture, AFailureInAnEngineJobReachesItsCaller) {
  Engine engine;
  std::thread([&engine] {
    EXPECT_THAT(error_of<BackendError>([&engine] {
                  engine.run([&engine] {
                    const StreamScope stream(engine.stream(Device::kCpu));
                    reshape(row(), {5});
                  });
                }),
                HasSubstr("reshape"));
  }).join();
  EXPECT_FALSE(has_pending_error());
}

}  // namespace
}  // namespace mlxnx::mlxc
