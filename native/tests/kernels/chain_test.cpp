// Programs whose values stay in registers, held to their steps' kernels bit by bit.
#include "kernels/chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "files/half.h"
#include "kernels/each_kind.h"
#include "kernels/elementwise.h"

namespace mlxnx::kernels {
namespace {

using Chains = testing_support::EachKind;
using enum Function;

constexpr Function kOfOne[] = {k_abs,   k_ceil, k_copy,  k_cos,      k_erf,   k_exp,    k_expm1,
                               k_floor, k_log,  k_log1p, k_negative, k_round, k_rsqrt,  k_sigmoid,
                               k_sign,  k_sin,  k_sqrt,  k_square,   k_tanh,  k_arctan, k_erf_inv};
constexpr Function kOfTwo[] = {k_add,      k_divide,   k_maximum,   k_minimum,
                               k_multiply, k_subtract, k_remainder, k_power};
constexpr Function kComparisons[] = {k_equal, k_greater,    k_greater_equal,
                                     k_less,  k_less_equal, k_not_equal};
constexpr Function kTests[] = {k_isfinite, k_isinf, k_isnan};
constexpr Function kOfTruths[] = {k_logical_and, k_logical_or, k_bitwise_and, k_bitwise_or,
                                  k_bitwise_xor, k_equal,      k_not_equal};

std::uint16_t as_half(Type type, float number) {
  return type == Type::kF16 ? files::f32_as_f16(number) : files::f32_as_bf16(number);
}
float rounded(Type type, float number) {
  if (type == Type::kF16) return files::f16_as_f32(as_half(type, number));
  return type == Type::kBf16 ? files::bf16_as_f32(as_half(type, number)) : number;
}

// A value of all elements: numbers, or truths as bytes.
struct Value {
  Type type = Type::kF32;
  std::vector<float> numbers;
  std::vector<std::uint8_t> truths;

  Value(Type given, std::size_t count) : type(given) {
    if (type == Type::kBool) {
      truths.resize(count, 7);
    } else {
      numbers.resize(count, NAN);
    }
  }
  void* data() { return type == Type::kBool ? static_cast<void*>(truths.data()) : numbers.data(); }
  const void* data() const { return const_cast<Value*>(this)->data(); }
};

// The same as it lies in memory.
struct Stored {
  Value value;
  std::vector<std::uint16_t> halves;

  explicit Stored(Value given) : value(std::move(given)) {
    if (!is_half(value.type)) return;
    for (const float number : value.numbers) halves.push_back(as_half(value.type, number));
  }
  void* data() { return is_half(value.type) ? static_cast<void*>(halves.data()) : value.data(); }
  // Once it has been written to.
  Value read() const {
    Value read = value;
    for (std::size_t i = 0; i < halves.size(); ++i) {
      read.numbers[i] =
          value.type == Type::kF16 ? files::f16_as_f32(halves[i]) : files::bf16_as_f32(halves[i]);
    }
    return read;
  }
};

// What a step is of whole operands, by its kernel: of halves that of f32, rounded.
Value computed(const Step& step, const std::vector<Value>& values, std::size_t count) {
  const auto held = [](Type type) { return is_half(type) ? Type::kF32 : type; };
  Value result(step.result, count);
  const void* operands[3] = {};
  for (int k = 0; k < operand_count(step.function); ++k)
    operands[k] = values[step.operands[static_cast<std::size_t>(k)]].data();
  const Kernel kernel = step.function == k_cast ? cast_kernel(held(step.type), held(step.result))
                                                : kernel_of(step.function, held(step.type));
  kernel(operands, result.data(), count);
  for (float& number : result.numbers) number = rounded(step.result, number);
  return result;
}

void expect_same_bits(const Value& got, const Value& expected, const std::string& where) {
  ASSERT_EQ(got.truths, expected.truths) << where;
  for (std::size_t i = 0; i < expected.numbers.size(); ++i) {
    if (std::isnan(expected.numbers[i])) {
      ASSERT_TRUE(std::isnan(got.numbers[i])) << where << ", element " << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(got.numbers[i]),
                std::bit_cast<std::uint32_t>(expected.numbers[i]))
          << where << ", element " << i;
    }
  }
}

class RandomPrograms {
 public:
  explicit RandomPrograms(unsigned seed) : random_(seed) {}

  // Of four inputs of numbers, some of them of the type that most steps compute in, and two of
  // truths.
  Program program(int steps) {
    static constexpr Type kTypes[] = {Type::kF32, Type::kF32, Type::kBf16, Type::kF16};
    type_ = kTypes[below(4)];
    Program program;
    program.inputs = {type_, Type::kF32, type_, type_, Type::kBool, Type::kBool};
    for (int i = 0; i < steps; ++i) program.steps.push_back(step(program));
    const auto last = static_cast<std::uint16_t>(program.inputs.size() + program.steps.size() - 1);
    program.results = {last, value_of(program, program.type_of(last), true)};
    return program;
  }

  float number() {
    static constexpr float kHard[] = {0.0F, -0.0F, 1.0F, 0.5F, -2.5F, 1e-40F, INFINITY, NAN};
    if (below(4) == 0) return kHard[below(std::size(kHard))];
    return std::normal_distribution<float>(0, 2)(random_);
  }
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }

 private:
  template <std::size_t n>
  Function one_of(const Function (&functions)[n]) {
    return functions[below(n)];
  }

  // The last value as often as all others.
  std::uint16_t value_of(const Program& program, Type type, bool is_made = false) {
    const std::size_t given = program.inputs.size(), values = given + program.steps.size();
    std::vector<std::uint16_t> of_type;
    for (std::size_t value = is_made ? given : 0; value < values; ++value) {
      const auto id = static_cast<std::uint16_t>(value);
      if (program.type_of(id) == type) of_type.push_back(id);
    }
    return below(2) == 0 ? of_type.back() : of_type[below(of_type.size())];
  }

  Step step(const Program& program) {
    const Type type = below(4) == 0 ? Type::kF32 : type_;
    const auto number = [&] { return value_of(program, type); };
    const auto truth = [&] { return value_of(program, Type::kBool); };
    switch (below(10)) {
      case 0:
      case 1:
        return {one_of(kOfOne), type, type, {number()}};
      case 2:
      case 3:
      case 4:
        return {one_of(kOfTwo), type, type, {number(), number()}};
      case 5:
        if (below(4) == 0) return {k_select, Type::kBool, Type::kBool, {truth(), truth(), truth()}};
        return {k_select, type, type, {truth(), number(), number()}};
      case 6:
        return {one_of(kTests), type, Type::kBool, {number()}};
      case 7:
        if (below(3) == 0) return {k_cast, type, Type::kBool, {number()}};
        if (below(3) == 0) return {k_cast, Type::kBool, type, {truth()}};
        if (below(3) == 0) return {k_logical_not, Type::kBool, Type::kBool, {truth()}};
        return {one_of(kOfTruths), Type::kBool, Type::kBool, {truth(), truth()}};
      case 8:
        return {k_cast, type, type == Type::kF32 ? type_ : Type::kF32, {number()}};
      default:
        return {one_of(kComparisons), type, Type::kBool, {number(), number()}};
    }
  }

  Type type_ = Type::kF32;
  std::mt19937 random_;
};

// The elements of an input, as all operands have them and as it lies in memory.
struct Input {
  Value whole, in_memory;
  std::vector<std::int64_t> strides;
};

// For results of `rows` by `columns`.
Input input(RandomPrograms& random, Type type, std::int64_t rows, std::int64_t columns,
            std::vector<std::int64_t> strides) {
  const auto count = static_cast<std::size_t>(rows * columns);
  Input input{Value(type, count), Value(type, count), std::move(strides)};
  for (float& number : input.in_memory.numbers) number = rounded(type, random.number());
  for (std::uint8_t& truth : input.in_memory.truths)
    truth = static_cast<std::uint8_t>(random.below(2));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto at = static_cast<std::size_t>(i * columns + j);
      const auto from = static_cast<std::size_t>(i * input.strides[0] + j * input.strides[1]);
      if (type == Type::kBool) {
        input.whole.truths[at] = input.in_memory.truths[from];
      } else {
        input.whole.numbers[at] = input.in_memory.numbers[from];
      }
    }
  }
  return input;
}

void check(RandomPrograms& random, const Program& program, std::int64_t rows,
           std::int64_t columns) {
  const std::vector<std::vector<std::int64_t>> layouts = {
      {columns, 1}, {1, rows}, {0, 1}, {1, 0}, {0, 0}};
  const auto count = static_cast<std::size_t>(rows * columns);
  std::vector<Input> inputs;
  std::vector<Value> values;
  for (const Type type : program.inputs) {
    inputs.push_back(input(random, type, rows, columns, layouts[random.below(layouts.size())]));
    values.push_back(inputs.back().whole);
  }
  for (const Step& step : program.steps) values.push_back(computed(step, values, count));

  std::vector<Stored> stored, got;
  for (const Input& input : inputs) stored.emplace_back(input.in_memory);
  for (const std::uint16_t value : program.results)
    got.emplace_back(Value(program.type_of(value), count));
  std::vector<ProgramInput> given;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    given.push_back({stored[i].data(), inputs[i].strides});
  std::vector<void*> results;
  for (Stored& result : got) results.push_back(result.data());
  const std::int64_t shape[] = {rows, columns};
  const TilePlan plan(program);
  const auto cut = static_cast<std::int64_t>(random.below(count + 1));
  plan.run(shape, given, results, 0, cut);
  plan.run(shape, given, results, cut, rows * columns - cut);
  for (std::size_t r = 0; r < got.size(); ++r) {
    expect_same_bits(got[r].read(), values[program.results[r]],
                     "result " + std::to_string(r) + " of " + std::to_string(rows) + " by " +
                         std::to_string(columns));
  }
}

TEST_F(Chains, ComputeTheBitsOfTheirKernels) {
  for_each_kind([] {
    int chains = 0;
    for (unsigned seed = 0; seed < 400; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      RandomPrograms random(seed);
      const Program program = random.program(2 + static_cast<int>(random.below(30)));
      chains += Chain::of(program) ? 1 : 0;
      // Few elements, and those of short rows, go through kernels.
      check(random, program, 1 + static_cast<std::int64_t>(random.below(5)),
            1 + static_cast<std::int64_t>(random.below(seed % 4 == 0 ? 300 : 3000)));
      if (HasFatalFailure()) return;
    }
    const std::string kind = kinds_of_vectors().front();
    if (kind.starts_with("AVX")) {
      EXPECT_GT(chains, 300) << kind;
    }
  });
}

TEST_F(Chains, ResultsMayBeTheMemoryOfInputsThatNothingReadsLater) {
  // x and y: x * y over x, then that minus y over y.
  Program program;
  program.inputs = {Type::kF32, Type::kF32};
  program.steps = {{k_multiply, Type::kF32, Type::kF32, {0, 1}},
                   {k_subtract, Type::kF32, Type::kF32, {2, 1}}};
  program.results = {2, 3};
  for_each_kind([&] {
    for (const std::size_t count : {5, 64, 3001}) {
      std::vector<float> x(count), y(count);
      for (std::size_t i = 0; i < count; ++i) {
        x[i] = static_cast<float>(i % 100);
        y[i] = static_cast<float>(i % 7) - 3;
      }
      const auto size = static_cast<std::int64_t>(count);
      const std::int64_t shape[] = {size}, strides[] = {1};
      const ProgramInput inputs[] = {{x.data(), strides}, {y.data(), strides}};
      void* const results[] = {x.data(), y.data()};
      TilePlan(program).run(shape, inputs, results, 0, size);
      for (std::size_t i = 0; i < count; ++i) {
        const auto a = static_cast<float>(i % 100), b = static_cast<float>(i % 7) - 3;
        ASSERT_EQ(x[i], a * b) << i << " of " << count;
        ASSERT_EQ(y[i], a * b - b) << i << " of " << count;
      }
    }
  });
}

TEST_F(Chains, AreNotMadeOfWhatTheyDoNotHold) {
  const auto of = [](std::vector<Type> inputs, std::vector<Step> steps) {
    return Chain::of({std::move(inputs), std::move(steps), {2}}).has_value();
  };
  EXPECT_FALSE(of({Type::kS32, Type::kS32}, {{k_add, Type::kS32, Type::kS32, {0, 1}}}));
  EXPECT_FALSE(of({Type::kF32, Type::kF32}, {{k_cast, Type::kF32, Type::kF64, {0}}}));
}

}  // namespace
}  // namespace mlxnx::kernels
