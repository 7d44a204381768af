// Tensors as C++ values.
#include "mlxnx/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>
#include <utility>

#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Tensor moved_from() {
  Tensor tensor(1.0);
  const Tensor taken = std::move(tensor);
  return tensor;
}

std::string refusal(const std::function<void()>& use) {
  try {
    use();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "taken";
}

TEST(MovedFromTensor, MayBeAssignedToCopiedAndDestroyed) {
  Tensor tensor = moved_from();
  const Tensor copy = tensor;
  tensor = Tensor(2.0);
  EXPECT_EQ(tensor.item<double>(), 2.0);
  EXPECT_TRUE(copy.is_moved_from());
}

TEST(MovedFromTensor, RefusesToBeRead) {
  const Tensor tensor = moved_from();
  const std::function<void()> uses[] = {
      [&] { tensor.shape(); },
      [&] { tensor.dtype(); },
      [&] { tensor.type(); },
      [&] { tensor.rank(); },
      [&] { tensor.size(); },
      [&] { tensor.byte_size(); },
      [&] { tensor.to_bytes(); },
      [&] { tensor.to_vector<float>(); },
      [&] { tensor.item<float>(); },
      [&] { tensor.to_number(); },
      [&] { tensor.read({}); },
      [&] { tensor.to_string(); },
      [&] { std::ostringstream() << tensor; },
      [&] { const TensorView view(tensor); },
      [&] { eval(tensor); },
      [&] {
        eval({Tensor(1), tensor});
      },
      [&] { async_eval(std::vector{tensor}); },
  };
  for (const auto& use : uses)
    EXPECT_THAT(refusal(use), HasSubstr("a moved-from tensor has no value"));
}

TEST(MovedFromTensor, IsNoOperand) {
  const Tensor tensor = moved_from();
  EXPECT_EQ(refusal([&] { add(Tensor(1), tensor); }),
            "[add] operand 1 is a moved-from tensor, which has no value");
  EXPECT_THAT(refusal([&] { negate(tensor); }), StartsWith("[negate] operand 0 is a moved-from"));
  EXPECT_THAT(refusal([&] { concatenate({Tensor(1), tensor}); }), HasSubstr("moved-from tensor"));
  for (const auto& use : std::vector<std::function<void()>>{
           [&] { tensor + 1; }, [&] { reshape(tensor, {1}); }, [&] { as_type(tensor, DType::f16); },
           [&] { slice(tensor, {0}, {1}); }, [&] { sum(tensor); }})
    EXPECT_THAT(refusal(use), HasSubstr("moved-from tensor"));
}

TEST(MovedFromTensor, IsNeitherArgumentNorResultNorMemberOfACompiledFunction) {
  const Tensor tensor = moved_from();
  const auto twice = jit([](const Tensor& x) { return x + x; });
  EXPECT_THAT(refusal([&] { twice(tensor); }), HasSubstr("moved-from tensor"));
  const auto captured = jit([tensor](const Tensor& x) { return x + tensor; });
  EXPECT_EQ(refusal([&] { captured(Tensor(1)); }),
            "[add] operand 1 is a moved-from tensor, which has no value");
  const auto answers = jit([tensor](const Tensor&) { return tensor; });
  EXPECT_THAT(refusal([&] { answers(Tensor(1)); }), HasSubstr("moved-from tensor"));
  EXPECT_THAT(refusal([&] {
                cond(
                    tensor, [] { return Tensor(1); }, [] { return Tensor(2); });
              }),
              HasSubstr("moved-from tensor"));
  EXPECT_THAT(refusal([&] {
                while_loop(
                    tensor, [](const Tensor& x) { return x; }, [](const Tensor& x) { return x; });
              }),
              HasSubstr("moved-from tensor"));
  const auto program =
      Program::trace({{"x", {DType::f32, {}}}}, [](const std::vector<Tensor>& in) { return in; });
  EXPECT_THAT(refusal([&] { program.run({tensor}); }), HasSubstr("moved-from tensor"));
}

TEST(MovedFromProgram, IsStillThere) {
  auto program = Program::trace({{"x", {DType::f32, {}}}}, [](const std::vector<Tensor>& in) {
    return std::vector{in[0] + 1};
  });
  const Program taken = std::move(program);
  EXPECT_EQ(program.run({Tensor(1.0)})[0].item<double>(), 2.0);
  auto function = jit([](const Tensor& x) { return x + 1; });
  const auto other = std::move(function);
  EXPECT_EQ(function(Tensor(1.0)).item<double>(), 2.0);
}

}  // namespace
}  // namespace mlxnx
