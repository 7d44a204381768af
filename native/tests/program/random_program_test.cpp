// Random programs compute what the same ops compute one by one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "ops/invoke.h"
#include "ops/registry.h"
#include "program/build_helpers.h"
#include "program/printer.h"
#include "program/serializer.h"
#include "tensor/element.h"
#include "transforms/transform_check.h"

namespace mlxnx::program {
namespace {

// Builds a program and computes the same values eagerly beside it.
class Twin {
 public:
  explicit Twin(std::uint64_t seed, bool has_marks = true) : dice_(seed), mark_dice_(seed) {
    for (int i = 0; i < 3; ++i) {
      const Tensor tensor = random_tensor();
      inputs.push_back(tensor);
      add(builder_.input("", tensor.type()), tensor);
    }
    const Tensor captured = random_tensor();
    add(builder_.constant(captured), captured);
    const int length = 3 + roll(25);
    for (int i = 0; i < length; ++i) {
      grow();
      if (has_marks) mark();
    }
    std::vector<ValueId> outputs;
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = ids_.size() - 1 - static_cast<std::size_t>(roll(4));
      outputs.push_back(ids_[at]);
      expected.push_back(tensors_[at]);
    }
    program = builder_.program(outputs);
  }

  Program program;
  std::vector<Tensor> inputs;
  std::vector<Tensor> expected;

 private:
  int roll(int sides) { return static_cast<int>(dice_() % static_cast<std::uint64_t>(sides)); }

  Tensor random_tensor() {
    constexpr DType kTypes[] = {DType::f32, DType::f32, DType::f32, DType::s32,
                                DType::u8,  DType::f16, DType::s64};
    const DType type = kTypes[roll(7)];
    const Shape shapes[] = {{}, {4}, {3, 4}, {3, 1}, {2, 3, 4}};
    const Shape shape = shapes[roll(5)];
    std::vector<std::byte> bytes(static_cast<std::size_t>(element_count(shape)) * size_bytes(type));
    for (std::size_t at = 0; at < bytes.size(); at += size_bytes(type))
      tensors::encode(Number(static_cast<std::int64_t>(roll(7)) - 2), type, &bytes[at]);
    return Tensor::from_bytes(bytes, {type, shape});
  }

  void add(ValueId id, Tensor tensor) {
    ids_.push_back(id);
    tensors_.push_back(std::move(tensor));
  }

  // One more instruction, unless its operands do not fit.
  void grow() {
    constexpr const char* kUnary[] = {"negate", "abs", "tanh", "sign", "is_nan", "floor", "exp"};
    constexpr const char* kBinary[] = {"add",  "subtract", "multiply", "max",      "min",
                                       "less", "equal",    "divide",   "quotient", "logical_and"};
    std::vector<std::size_t> operands{
        static_cast<std::size_t>(roll(static_cast<int>(ids_.size())))};
    ops::Attrs attrs;
    std::string name;
    switch (roll(6)) {
      case 0:
        name = kUnary[roll(7)];
        break;
      case 1:
        name = "sum";
        attrs.set("keep_axes", roll(2) == 0);
        break;
      case 2:
        name = "as_type";
        attrs.set("type", roll(2) == 0 ? DType::f32 : DType::s32);
        break;
      case 3:
        name = "transpose";
        attrs = {{"axes", reversed(tensors_[operands[0]].rank())}};
        break;
      default:
        name = kBinary[roll(10)];
        operands.push_back(static_cast<std::size_t>(roll(static_cast<int>(ids_.size()))));
    }
    try {
      std::vector<ValueId> values;
      std::vector<Tensor> tensors;
      for (const std::size_t at : operands) {
        values.push_back(ids_[at]);
        tensors.push_back(tensors_[at]);
      }
      const auto made = builder_.ops(name, values, attrs);
      add(made.front(), ops::invoke(ops::op(name), std::span<const Tensor>(tensors), attrs));
    } catch (const ArgumentError&) {
      // Shapes that do not broadcast, floats where integers are wanted.
    }
  }

  // Now and then a mark for gradients, which changes nothing. Dice of its own keep the ops the
  // same.
  void mark() {
    if (mark_dice_() % 4 != 0) return;
    const std::size_t at = mark_dice_() % ids_.size();
    const std::vector<ValueId> value{ids_[at]};
    const std::vector<ValueId> input{ids_[mark_dice_() % ids_.size()]};
    switch (mark_dice_() % 3) {
      case 0:
        add(builder_.stop_gradient(value).front(), tensors_[at]);
        break;
      case 1:
        add(builder_.custom_vjp(value, input, "no gradient").front(), tensors_[at]);
        break;
      default: {
        RegionBuilder backward;
        const TensorType wanted = cotangent_type(builder_.type(input[0]));
        const ValueId g = backward.input("g", cotangent_type(builder_.type(value[0])));
        const ValueId captured = backward.input("", builder_.type(input[0]));
        const ValueId product = backward.op("multiply", {captured, backward.op("sum", {g})});
        const std::vector<ValueId> answer =
            backward.ops("as_type", std::vector{product}, {{"type", wanted.dtype}});
        add(builder_.custom_vjp(value, input, input, backward.region(answer)).front(),
            tensors_[at]);
      }
    }
  }

  static Axes reversed(std::size_t rank) {
    Axes axes;
    for (std::size_t i = rank; i-- > 0;) axes.push_back(static_cast<std::int64_t>(i));
    return axes;
  }

  std::mt19937_64 dice_;
  std::mt19937_64 mark_dice_;
  RegionBuilder builder_;
  std::vector<ValueId> ids_;
  std::vector<Tensor> tensors_;
};

// The first element that differs by more than rounding, as text.
std::string difference(const Tensor& expected, const Tensor& got) {
  if (expected.type() != got.type())
    return to_string(got.type()) + " instead of " + to_string(expected.type());
  const std::vector<std::byte> wanted = expected.to_bytes();
  const std::vector<std::byte> given = got.to_bytes();
  const DType type = expected.dtype();
  const double tolerance = type == DType::f16 ? 1e-2 : is_integer(type) ? 0 : 1e-4;
  const auto value = [type](const std::byte* at) {
    return std::visit(
        [](const auto& number) -> double {
          if constexpr (std::is_same_v<std::decay_t<decltype(number)>, std::complex<double>>) {
            return number.real();
          } else {
            return static_cast<double>(number);
          }
        },
        tensors::decode(type, at));
  };
  for (std::size_t at = 0; at < wanted.size(); at += size_bytes(type)) {
    const double a = value(&wanted[at]);
    const double b = value(&given[at]);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (std::abs(a - b) <= tolerance * std::max(1.0, std::abs(a))) continue;
    return std::to_string(b) + " instead of " + std::to_string(a);
  }
  return {};
}

int number_of_programs() {
  const char* wish = std::getenv("MLXNX_RANDOM_PROGRAMS");
  return wish != nullptr ? std::atoi(wish) : 300;
}

// More of them, fused: MLXNX_RANDOM_PROGRAMS=200,fused
TEST(RandomPrograms, ComputeWhatTheirOpsCompute) {
  const char* wish = std::getenv("MLXNX_RANDOM_PROGRAMS");
  const bool fuse = wish != nullptr && std::string(wish).ends_with("fused");
  for (int seed = 0; seed < number_of_programs(); ++seed) {
    Twin twin(static_cast<std::uint64_t>(seed));
    const std::string text = to_text(twin.program);
    const Executable executable(deserialize(serialize(twin.program)),
                                {.fusion = fuse ? Fusion::kAlways : Fusion::kNever});
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    for (int round = 0; round < 2; ++round) {
      std::vector<Tensor> outputs;
      ASSERT_NO_THROW(outputs = executable.run(twin.inputs));
      for (std::size_t i = 0; i < outputs.size(); ++i)
        EXPECT_EQ(difference(twin.expected[i], outputs[i]), "");
    }
  }
}

// Marks may refuse, so that programs without them are tried as well.
TEST(RandomPrograms, HaveTheSameDerivativesInBothDirections) {
  int compared = 0;
  for (int seed = 0; seed < number_of_programs(); ++seed) {
    for (const bool has_marks : {true, false}) {
      const Twin twin(static_cast<std::uint64_t>(seed), has_marks);
      const auto verdict = testing_support::judge_transforms(twin.program.main, twin.inputs);
      EXPECT_EQ(verdict.fault, "") << "seed " << seed << "\n" << to_text(twin.program);
      compared += verdict.evaluated ? 1 : 0;
    }
  }
  EXPECT_GT(compared, number_of_programs() / 4);
}

}  // namespace
}  // namespace mlxnx::program
