// Sizes that no machine holds: refused at once, with next to nothing allocated.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>

#include "mlxc/graph.h"
#include "mlxnx/mlxnx.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx {
namespace {

constexpr std::int64_t kMillion = std::int64_t{1} << 20;
constexpr std::int64_t kBillion = std::int64_t{1} << 30;
constexpr std::int64_t kLargestDim = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();
constexpr std::size_t kMostBytes = std::size_t{100} << 20;

using ops::Pair;
using ops::Triple;

Tensor invoke(const char* op, const std::vector<Tensor>& operands, const ops::Attrs& attrs) {
  return ops::invoke_all(ops::op(op), std::span<const Tensor>(operands), attrs)[0];
}

Tensor small(const Shape& shape) { return iota(shape, {.type = DType::f32}); }

// A lazy row that takes one element of memory.
Tensor long_row() { return broadcast(constant(1, DType::u8), {kLargestDim}); }

struct Case {
  const char* name;
  std::function<Tensor()> call;
};

class HugeShapes : public testing::Test {
 protected:
  void SetUp() override {
    clear_cache();
    reset_peak_memory();
  }
  void TearDown() override {
    EXPECT_LT(memory_info().peak_bytes, kMostBytes);
    EXPECT_EQ((Tensor(40) + Tensor(2)).item<int>(), 42);
  }

  // `Error` or a child of it.
  template <typename Error>
  static void expect_refused(std::initializer_list<Case> cases) {
    for (const auto& [name, call] : cases) {
      SCOPED_TRACE(name);
      const auto start = std::chrono::steady_clock::now();
      try {
        const Tensor answer = call();
        eval(answer);
        ADD_FAILURE() << "answered " << to_string(answer.type());
      } catch (const Error& error) {
        EXPECT_EQ(error.what()[0], '[') << error.what();
      } catch (const std::exception& error) {
        ADD_FAILURE() << "another class: " << error.what();
      }
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    }
  }
};

TEST_F(HugeShapes, ThatNobodyCanCountAreShapeErrors) {
  expect_refused<ShapeError>({
      {"iota",
       [] {
         return iota({kLargestDim, kLargestDim, 4});
       }},
      {"pad",
       [] {
         return invoke("pad", {small({2}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{kLargest, kLargest, 0}}}});
       }},
      {"pad inside",
       [] {
         return invoke("pad", {small({4}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{0, 0, kLargest}}}});
       }},
      {"slice", [] { return slice(small({4}), {0}, {kLargest}); }},
      {"from_bytes",
       [] {
         return Tensor::from_bytes({}, {DType::f32, {kLargestDim, kLargestDim, 4}});
       }},
  });
}

TEST_F(HugeShapes, ThatMlxCannotCountAreUnsupported) {
  expect_refused<UnsupportedError>({
      {"iota", [] { return iota({kLargestDim + 1}); }},
      {"reshape",
       [] {
         return reshape(broadcast(constant(1, DType::u8), {3, kBillion}), {3 * kBillion});
       }},
      {"flatten",
       [] {
         return flatten(broadcast(constant(1, DType::u8), {3, kBillion}));
       }},
      {"tile", [] { return tile(constant(1, DType::u8, {kBillion}), {3}); }},
      {"constant", [] { return constant(1, DType::f32, {kLargest}); }},
      {"eye",
       [] {
         return eye({kLargest, kLargest});
       }},
      {"broadcast", [] { return broadcast(Tensor(1), {std::int64_t{1} << 40}); }},
      {"reshape of nothing",
       [] {
         return reshape(iota({0, 3}), {0, std::int64_t{1} << 40});
       }},
      {"concatenate",
       [] {
         return concatenate(std::vector{long_row(), long_row()});
       }},
      {"pad",
       [] {
         return invoke("pad", {small({2}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{kLargestDim, 0, 0}}}});
       }},
      {"pad inside",
       [] {
         return invoke("pad", {small({4}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{0, 0, kBillion}}}});
       }},
      {"window",
       [] {
         return invoke(
             "window_sum", {small({2})},
             {{"window", Axes{1}}, {"padding", std::vector<Pair>{{kLargestDim, kLargestDim}}}});
       }},
      {"conv",
       [] {
         return invoke("conv", {small({1, 1, 2}), small({1, 1, 1})},
                       {{"padding", std::vector<Pair>{{kBillion, kBillion}}}});
       }},
      {"fft",
       [] {
         return invoke("fft", {small({4})}, {{"length", std::int64_t{1} << 40}});
       }},
      {"rfft, of which half is kept",
       [] {
         return invoke("block:RFFT", {small({4})}, {{"length", 3 * kBillion}});
       }},
      {"from_bytes",
       [] {
         return Tensor::from_bytes({}, {DType::f32, {kLargest, 2}});
       }},
      {"from_bytes of nothing",
       [] {
         return Tensor::from_bytes({}, {DType::f32, {0, kLargest}});
       }},
  });
}

TEST_F(HugeShapes, ThatNoMemoryHoldsAreBackendErrors) {
  expect_refused<BackendError>({
      {"iota",
       [] {
         return iota({kMillion, kMillion}, {.axis = 0});
       }},
      {"constant",
       [] {
         return constant(1, DType::f32, {kMillion, kMillion});
       }},
      {"eye",
       [] {
         return eye({kMillion, kMillion});
       }},
      {"broadcast",
       [] {
         return broadcast(Tensor(1), {kMillion, kMillion});
       }},
      {"broadcast to 2^65 bytes",
       [] {
         return broadcast(tensor(1, DType::f64), {kBillion, kBillion, 4});
       }},
      {"add",
       [] {
         return iota({kMillion, 1}) + iota({1, kMillion});
       }},
      {"pad",
       [] {
         return invoke("pad", {small({2, 2}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{kMillion, 0, 0}, {0, kMillion, 0}}}});
       }},
      {"pad inside",
       [] {
         return invoke("pad", {small({2, 2}), Tensor(0.0)},
                       {{"padding", std::vector<Triple>{{0, 0, kMillion}, {0, 0, kMillion}}}});
       }},
      {"pad and cut again",
       [] {
         return invoke(
             "pad", {small({2, 2}), Tensor(0.0)},
             {{"padding", std::vector<Triple>{{-kMillion, 0, kBillion}, {0, kMillion, kBillion}}}});
       }},
      {"window",
       [] {
         return invoke("window_sum", {small({2, 2})},
                       {{"window", Axes{1, 1}},
                        {"padding", std::vector<Pair>{{kMillion, 0}, {0, kMillion}}}});
       }},
      {"window with strides",
       [] {
         return invoke("window_max", {small({2, 2})},
                       {{"window", Axes{1, 1}},
                        {"strides", Axes{kBillion, kBillion}},
                        {"padding", std::vector<Pair>{{kBillion, 0}, {0, kBillion}}}});
       }},
      {"conv",
       [] {
         return invoke("conv", {small({1, 1, 2, 2}), small({1, 1, 1, 1})},
                       {{"padding", std::vector<Pair>{{kMillion, 0}, {0, kMillion}}}});
       }},
      {"conv with strides",
       [] {
         return invoke("conv", {small({1, 1, 2, 2}), small({1, 1, 1, 1})},
                       {{"strides", Axes{kBillion, kBillion}},
                        {"padding", std::vector<Pair>{{kBillion, 0}, {0, kBillion}}}});
       }},
      {"outer product",
       [] {
         return invoke("dot", {small({kMillion, 1}), small({1, kMillion})},
                       {{"contract_axes1", Axes{1}}, {"contract_axes2", Axes{0}}});
       }},
      {"integer outer product",
       [] {
         return invoke("dot", {iota({kMillion, 1}), iota({1, kMillion})},
                       {{"contract_axes1", Axes{1}}, {"contract_axes2", Axes{0}}});
       }},
      {"take",
       [] {
         return invoke("block:Take",
                       {small({1, kMillion}), broadcast(constant(0, DType::u8), {kMillion})},
                       {{"axis", std::int64_t{0}}});
       }},
      {"fft",
       [] {
         return invoke("fft", {small({kMillion, 1})}, {{"length", kMillion}});
       }},
      {"svd",
       [] {
         return linalg::svd(small({kMillion, 1})).u;
       }},
      {"qr",
       [] {
         return linalg::qr(small({kMillion, 1}), "complete").q;
       }},
      {"reading",
       [] {
         Tensor row = broadcast(Tensor(1.0), {kLargestDim});
         return reshape(broadcast(row, {1000, kLargestDim}), {-1});
       }},
  });
}

TEST_F(HugeShapes, ThatKernelsOfTheCpuCannotCountAreUnsupported) {
  if (default_device() != Device::kCpu) GTEST_SKIP();
  const Tensor tensor = broadcast(constant(1, DType::u8), {3, kBillion});
  expect_refused<UnsupportedError>({
      {"sum", [&] { return sum(tensor); }},
      {"argmax", [&] { return argmax(tensor); }},
      {"cumulative_sum", [&] { return cumulative_sum(tensor); }},
      {"sort", [&] { return sort(tensor); }},
      {"window",
       [&] {
         return invoke("window_max", {tensor}, {{"window", Axes{1, 2}}});
       }},
      {"fft", [&] { return invoke("fft", {tensor}, {}); }},
  });
}

TEST_F(HugeShapes, CanBeSlicedAndRead) {
  const Tensor tensor = broadcast(iota({3, 1}, {.type = DType::u8}), {3, kBillion});
  EXPECT_EQ(slice(tensor, {2, kBillion - 1}, {1, 1}).item<int>(), 2);
}

TEST_F(HugeShapes, OfGraphsAreRefused) {
  const auto add_up = std::make_shared<const ops::Function>(ops::Function{"add", mlxc::add});
  expect_refused<UnsupportedError>({
      {"reduce",
       [&] {
         return invoke("reduce", {long_row(), Tensor(0)}, {{"fun", add_up}});
       }},
      {"window_reduce",
       [&] {
         return invoke("window_reduce", {long_row(), Tensor(0)},
                       {{"fun", add_up}, {"window", Axes{kLargestDim}}});
       }},
  });
}

TEST_F(HugeShapes, InAttributesAreArgumentErrors) {
  for (const std::int64_t value : {kLargest, kSmallest, kSmallest + 1, kLargest - 1}) {
    SCOPED_TRACE(value);
    expect_refused<ArgumentError>({
        {"window",
         [=] {
           return invoke("window_sum", {small({2})}, {{"window", Axes{value}}});
         }},
        {"window strides",
         [=] {
           return invoke("window_sum", {small({2})},
                         {{"window", Axes{1}}, {"strides", Axes{value}}});
         }},
        {"window padding",
         [=] {
           return invoke("window_sum", {small({2})},
                         {{"window", Axes{1}}, {"padding", std::vector<Pair>{{value, 0}}}});
         }},
        {"conv padding",
         [=] {
           return invoke("conv", {small({1, 1, 2}), small({1, 1, 1})},
                         {{"padding", std::vector<Pair>{{value, value}}}});
         }},
        {"conv groups",
         [=] {
           return invoke("conv", {small({1, 2, 2}), small({2, 2, 1})},
                         {{"feature_group_size", value}});
         }},
        {"pad",
         [=] {
           return invoke("pad", {small({2}), Tensor(0.0)},
                         {{"padding", std::vector<Triple>{{value, value, 0}}}});
         }},
        {"axis",
         [=] {
           return invoke("sort", {small({2})}, {{"axis", value}});
         }},
        {"axes",
         [=] {
           return invoke("sum", {small({2})}, {{"axes", Axes{value}}});
         }},
        {"top_k",
         [=] {
           return invoke("block:TopK", {small({2})}, {{"k", value}});
         }},
        {"squeeze",
         [=] {
           return invoke("squeeze", {small({2})}, {{"axes", Axes{value}}});
         }},
    });
  }
}

}  // namespace
}  // namespace mlxnx
