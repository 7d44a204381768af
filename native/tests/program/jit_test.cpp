// Traced C++ functions, loops and branches, as a user of the library writes them.
#include "mlxnx/jit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <thread>

#include "mlxc/kernel_node.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Model {
  Tensor weights, bias;
  MLXNX_MEMBERS(weights, bias)
};

std::vector<float> floats(const Tensor& tensor) { return tensor.to_vector<float>(); }

TEST(Jit, ComputesWhatTheFunctionComputes) {
  auto norm = jit([](const Tensor& x) { return sqrt(sum(x * x)); });
  EXPECT_EQ(norm(tensor({3.0, 4.0})).item<float>(), 5.0f);
}

TEST(Jit, TakesStructsAndAnswersThem) {
  auto step = jit([](const Model& model, const Tensor& x, double rate) {
    const Tensor error = dot(x, model.weights) + model.bias;
    return Model{model.weights - rate * dot(transpose(x), error), model.bias - rate * sum(error)};
  });
  const Model model{tensor({1.0, 2.0}), Tensor(0.5)};
  const Model next = step(model, tensor({{1.0, 1.0}}), 0.5);
  EXPECT_THAT(floats(next.weights), ElementsAre(-0.75f, 0.25f));
  EXPECT_EQ(next.bias.item<float>(), -1.25f);
}

TEST(Jit, TakesTuplesVectorsAndMaps) {
  using Layers = std::map<std::string, std::vector<Tensor>>;
  auto total = jit([](const std::tuple<Tensor, Layers>& all) {
    Tensor sum = std::get<0>(all);
    for (const auto& [name, layers] : std::get<1>(all)) {
      for (const Tensor& layer : layers) sum = sum + layer;
    }
    return std::pair(sum, std::vector{sum, sum * 2.0});
  });
  const auto [one, more] = total(std::tuple(
      Tensor(1.0), Layers{{"a", {Tensor(2.0), Tensor(3.0)}}, {"b", {}}, {"c", {Tensor(4.0)}}}));
  EXPECT_EQ(one.item<float>(), 10.0f);
  EXPECT_EQ(more.at(1).item<float>(), 20.0f);
}

TEST(Jit, TracesOncePerTypesShapesAndNumbers) {
  int traced = 0;
  auto scale = jit([&traced](const Tensor& x, int factor) {
    ++traced;
    return x * factor;
  });
  for (int i = 0; i < 3; ++i) EXPECT_THAT(floats(scale(tensor({1.0}), 2)), ElementsAre(2.0f));
  EXPECT_EQ(traced, 1);
  EXPECT_THAT(floats(scale(tensor({1.0}), 3)), ElementsAre(3.0f));
  EXPECT_THAT(floats(scale(tensor({1.0, 2.0}), 3)), ElementsAre(3.0f, 6.0f));
  EXPECT_EQ(scale(Tensor(1), 3).item<int>(), 3);
  EXPECT_EQ(traced, 4);
  EXPECT_EQ(scale.cache_size(), 4u);
}

TEST(Jit, TellsNumbersOfEqualBytesApart) {
  auto scale = jit([](const Tensor& x, auto factor) { return x + factor; });
  const Tensor x = tensor({1});
  EXPECT_EQ(scale(x, 0LL).dtype(), (x + 0LL).dtype());
  EXPECT_EQ(scale(x, 0.0).dtype(), (x + 0.0).dtype());
  EXPECT_EQ(scale(x, 0LL).dtype(), (x + 0LL).dtype());
  EXPECT_EQ(scale.cache_size(), 2u);
}

TEST(Jit, TellsContainersOfTheSameTensorsApart) {
  auto same = jit([](const auto& value) { return value; });
  const Tensor one(1.0);
  const Model model = same(Model{one, one * 2.0});
  const auto [a, b] = same(std::pair(one * 3.0, one * 4.0));
  EXPECT_EQ(model.bias.item<float>(), 2.0f);
  EXPECT_EQ(b.item<float>(), 4.0f);
}

TEST(Jit, NestsAndRunsOnManyThreads) {
  auto inner = jit([](const Tensor& x) { return x + 1.0; });
  auto outer = jit([&inner](const Tensor& x) { return inner(inner(x)) * 2.0; });
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round)
        right += outer(Tensor(1.0 * i)).item<float>() == 2.0f * static_cast<float>(i + 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

TEST(Jit, SaysSoWhenATracedTensorIsRead) {
  auto bad = jit([](const Tensor& x) { return x.item<float>() > 0 ? x : -x; });
  try {
    bad(Tensor(1.0));
    FAIL() << "a traced tensor was read";
  } catch (const ArgumentError& error) {
    EXPECT_THAT(error.what(), HasSubstr("[trace] a f32 of a function that is being traced"));
  }
  EXPECT_EQ(jit([](const Tensor& x) { return x; })(Tensor(1.0)).item<float>(), 1.0f);
}

TEST(Jit, RefusesTensorsThatOutliveTheirTrace) {
  Tensor kept(0.0);
  auto keep = jit([&kept](const Tensor& x) {
    kept = x + 1.0;
    return x;
  });
  keep(Tensor(1.0));
  EXPECT_THROW(kept + 1.0, ArgumentError);
  EXPECT_THROW(eval(kept), ArgumentError);
  EXPECT_THROW(async_eval(std::vector{kept}), ArgumentError);
  auto use = jit([&kept](const Tensor& x) { return x + kept; });
  EXPECT_THROW(use(Tensor(1.0)), ArgumentError);
}

TEST(Jit, TracesFunctionsOfReduce) {
  auto fold = jit([](const Tensor& x, const Tensor& scale) {
    return reduce(x, Tensor(0.0), [&](const Tensor& element, const Tensor& accumulator) {
      return element * scale + accumulator;
    });
  });
  EXPECT_EQ(fold(tensor({1.0, 2.0, 3.0}), Tensor(10.0)).item<float>(), 60.0f);
}

// At once, by a kernel in a graph with positions for several threads, and step by step (not
// traced).
TEST(Jit, FoldsByKernelsAsStepByStep) {
  struct Fold {
    const char* name;
    Reducer function;
  };
  const Tensor half(0.5);
  const std::array<Fold, 5> folds = {{
      {"horner", [](const Tensor& x, const Tensor& acc) { return acc * 0.75 + x; }},
      {"captures", [&](const Tensor& x, const Tensor& acc) { return x * half - acc; }},
      {"selects", [](const Tensor& x, const Tensor& acc) { return select(x > acc, x, acc); }},
      {"last", [](const Tensor& x, const Tensor&) { return x; }},
      {"constant", [](const Tensor&, const Tensor& acc) { return acc * 0.0 + 3.0; }},
  }};
  struct Layout {
    Shape shape;
    Axes axes;
  };
  const std::array<Layout, 4> layouts = {
      {{{7}, {0}}, {{3, 5, 4}, {0, 2}}, {{3, 2500}, {0}}, {{1300, 5}, {1}}}};
  for (const DType type : {DType::f32, DType::f64, DType::s32, DType::f16}) {
    for (const Layout& layout : layouts) {
      const Tensor x = remainder(iota(layout.shape, {.type = type}), 11);
      for (const Fold& fold : folds) {
        const ReduceOptions options{.axes = layout.axes};
        const auto by = [&](const Tensor& x) {
          return reduce(x, Tensor(1), fold.function, options);
        };
        SCOPED_TRACE(std::string(fold.name) + " " + to_string(x.type()));
        const Tensor whole = jit(by)(x), stepwise = by(x);
        ASSERT_EQ(whole.type(), stepwise.type());
        EXPECT_EQ(as_type(whole, DType::f64).to_vector<double>(),
                  as_type(stepwise, DType::f64).to_vector<double>());
      }
    }
  }
}

TEST(Jit, FoldsMoreElementsThanAGraphHolds) {
  if (default_device() == Device::kGpu || !mlxc::builds_kernel_nodes())
    GTEST_SKIP() << "there are no kernels of our own here";
  auto sum_of = jit([](const Tensor& x) {
    return reduce(x, Tensor(0.0), [](const Tensor& x, const Tensor& acc) { return acc + x; });
  });
  EXPECT_EQ(sum_of(broadcast(Tensor(1.0), {3'000'000})).item<float>(), 3e6f);
}

TEST(WhileLoop, RunsEagerlyAndTraced) {
  const auto power = [](const Tensor& base, const Tensor& bound) {
    auto [i, x] = while_loop(
        std::tuple(Tensor(0), Tensor(1.0)), [&](const auto& s) { return std::get<0>(s) < bound; },
        [&](const auto& s) { return std::tuple(std::get<0>(s) + 1, std::get<1>(s) * base); });
    return x;
  };
  EXPECT_EQ(power(Tensor(2.0), Tensor(10)).item<float>(), 1024.0f);
  EXPECT_EQ(jit(power)(Tensor(2.0), Tensor(10)).item<float>(), 1024.0f);
}

TEST(WhileLoop, ConditionAndBodyMayCaptureDifferentTensors) {
  auto f = jit([](const Tensor& a, const Tensor& b, const Tensor& c) {
    return while_loop(
        a, [&](const Tensor& x) { return x < b + c; }, [&](const Tensor& x) { return x + c; });
  });
  EXPECT_EQ(f(Tensor(0.0), Tensor(5.0), Tensor(3.0)).item<float>(), 9.0f);
}

TEST(WhileLoop, RefusesABodyThatChangesTheState) {
  EXPECT_THROW(while_loop(
                   Tensor(1), [](const Tensor& x) { return x < 3; },
                   [](const Tensor& x) { return x * 1.5; }),
               ShapeError);
}

template <typename Body>
std::string complaint(Body body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "none";
}

TEST(WhileLoop, RefusesNumbersThatChange) {
  const auto count = [](const Tensor& x) {
    return while_loop(
        std::pair(x, 1), [](const auto& s) { return s.first < 3.0; },
        [](const auto& s) { return std::pair(s.first + 1.0, s.second + 1); });
  };
  const auto grow = [](const Tensor& x) {
    return while_loop(
        std::vector{x}, [](const auto& s) { return s[0] < 3.0; },
        [](const auto& s) {
          return std::vector{s[0] + 1.0, s[0]};
        });
  };
  const char* numbers = "[while] the state begins with, and its body answers 1 and 2 where only";
  const char* sizes = "[while] the state begins with, and its body answers 1 and 2 where only";
  EXPECT_THAT(complaint([&] { count(Tensor(0.0)); }), HasSubstr(numbers));
  EXPECT_THAT(complaint([&] { jit(count)(Tensor(0.0)); }), HasSubstr(numbers));
  EXPECT_THAT(complaint([&] { grow(Tensor(0.0)); }), HasSubstr(sizes));
  EXPECT_THAT(complaint([&] { jit(grow)(Tensor(0.0)); }), HasSubstr(sizes));
}

TEST(WhileLoop, KeepsNumbersThatStay) {
  const auto [x, step] = while_loop(
      std::pair(Tensor(0.0), 2), [](const auto& s) { return s.first < 5.0; },
      [](const auto& s) { return std::pair(s.first + s.second, s.second); });
  EXPECT_EQ(x.item<float>(), 6.0f);
  EXPECT_EQ(step, 2);
}

// Branches that differ, eagerly and traced, whichever is taken.
TEST(Cond, RefusesBranchesThatDiffer) {
  const auto numbers = [](const Tensor& x) {
    return cond(
        x > 0.0, [&] { return std::pair(x, 1); }, [&] { return std::pair(x * 2.0, 2); });
  };
  const auto types = [](const Tensor& x) {
    return cond(
        x > 0.0, [&] { return x; }, [&] { return as_type(x, DType::s32); });
  };
  const auto vector_predicate = [](const Tensor& x) {
    return cond(
        reshape(x, {1}) > 0.0, [&] { return x; }, [&] { return x; });
  };
  for (const double value : {1.0, -1.0}) {
    const Tensor x(value);
    const char* differ = "[cond] the branches answer 1 and 2 where only tensors may differ";
    EXPECT_THAT(complaint([&] { numbers(x); }), HasSubstr(differ));
    EXPECT_THAT(complaint([&] { jit(numbers)(x); }), HasSubstr(differ));
    const char* other_types = "[cond] a branch's outputs should be (s32), got (f32)";
    EXPECT_THAT(complaint([&] { types(x); }), HasSubstr(other_types));
    EXPECT_THAT(complaint([&] { jit(types)(x); }), HasSubstr(other_types));
    const char* no_scalar = "[cond] a predicate should be a real scalar, got u8[1]";
    EXPECT_THAT(complaint([&] { vector_predicate(x); }), HasSubstr(no_scalar));
    EXPECT_THAT(complaint([&] { jit(vector_predicate)(x); }), HasSubstr(no_scalar));
  }
}

TEST(Cond, AnswersNumbersThatAgree) {
  const auto f = [](const Tensor& x) {
    return cond(
        x > 0.0, [&] { return std::pair(x, 7); }, [&] { return std::pair(x * 2.0, 7); });
  };
  for (const auto& [x, number] : {f(Tensor(-1.0)), jit(f)(Tensor(-1.0))}) {
    EXPECT_EQ(x.item<float>(), -2.0f);
    EXPECT_EQ(number, 7);
  }
}

// What the branch not taken would do does not happen: no error that depends on values, and no
// program is run.
TEST(Cond, ComputesNothingOfTheOtherBranch) {
  int calls = 0;
  const Program same = Program::trace(
      {{"", {DType::s32, {}}}}, [](const std::vector<Tensor>& in) { return std::vector{in[0]}; });
  const auto f = [&](const Tensor& divisor) {
    return cond(
        not_equal(divisor, 0),
        [&] {
          ++calls;
          const Tensor x = quotient(6, divisor);
          return same.run({take(tensor({1, 2, 3, 4}), x)}).at(0);
        },
        [&] { return divisor; });
  };
  EXPECT_EQ(f(Tensor(2)).item<int>(), 4);
  EXPECT_EQ(f(Tensor(0)).item<int>(), 0);
  EXPECT_EQ(calls, 2);
  const DeviceScope on_cpu(Device::kCpu);
  EXPECT_THROW(quotient(6, Tensor(0)), ArithmeticError) << "as the untaken branch would";
}

TEST(Cond, RefusesFunctionsThatCallThemselves) {
  std::function<Tensor(const Tensor&)> factorial = [&](const Tensor& n) {
    return cond(
        n > 1, [&] { return n * factorial(n - 1); }, [&] { return n; });
  };
  const char* text = "one can't call itself through cond or while_loop";
  EXPECT_THAT(complaint([&] { factorial(Tensor(3)); }), HasSubstr(text));
  EXPECT_THAT(complaint([&] { jit(factorial)(Tensor(3)); }), HasSubstr(text));
}

// Within a trace the predicate may be known.
TEST(Cond, IsNotHeldToABranchThatItsValuesRuleOut) {
  const Tensor x = tensor({1.0, 2.0});
  const auto element = [&x](std::int64_t i) {
    const Tensor index(i);
    return cond(
        index < 2, [&] { return take(x, index); }, [] { return Tensor(-1.0); });
  };
  EXPECT_EQ(element(1).item<float>(), 2.0F);
  EXPECT_EQ(element(7).item<float>(), -1.0F);
}

TEST(Cond, LeavesATraceAsItWasForAKnownPredicate) {
  auto f = jit([](const Tensor& x) {
    return cond(
        Tensor(1.0), [&] { return x + 1.0; }, [&] { return x * 5.0; });
  });
  EXPECT_EQ(f(Tensor(2.0)).item<float>(), 3.0f);
}

TEST(Cond, TakesOneBranch) {
  const auto sign = [](const Tensor& x) {
    return cond(
        sum(x) > 0.0, [&] { return x * 2.0; },
        [&] {
          return cond(
              sum(x) < 0.0, [&] { return -x; }, [&] { return x + 1.0; });
        });
  };
  auto traced = jit(sign);
  for (const double value : {3.0, -3.0, 0.0}) {
    const Tensor x = tensor({value});
    EXPECT_EQ(floats(traced(x)), floats(sign(x))) << value;
  }
  EXPECT_EQ(traced.cache_size(), 1u);
}

TEST(TracedProgram, IsSavedLoadedAndRun) {
  const Program program =
      Program::trace({{"x", {DType::f32, {2}}}},
                     [](const std::vector<Tensor>& in) { return std::vector{sum(in[0] * in[0])}; });
  EXPECT_EQ(program.run({tensor({3.0, 4.0})})[0].item<float>(), 25.0f);
  const auto path = std::filesystem::temp_directory_path() /
                    ("mlxnx_jit_" + std::to_string(::getpid()) + ".mlxnx");
  program.save(path);
  const Program again = Program::load(path);
  std::filesystem::remove(path);
  EXPECT_EQ(again.run({tensor({1.0, 2.0})})[0].item<float>(), 5.0f);
  EXPECT_EQ(again.inputs().at(0).name, "x");
  EXPECT_EQ(again.outputs().at(0).type, (TensorType{DType::f32, {}}));
  EXPECT_THAT(again.to_string(), HasSubstr("%1 = multiply %0, %0 : f32[2]"));
  EXPECT_THAT(again.to_dot(), HasSubstr("digraph"));
}

TEST(TracedProgram, MayBePartOfATracedFunction) {
  const Program square =
      Program::trace({{"", {DType::f32, {}}}},
                     [](const std::vector<Tensor>& in) { return std::vector{in[0] * in[0]}; });
  auto f = jit([&](const Tensor& x) { return square.run({x + 1.0}).at(0); });
  EXPECT_EQ(f(Tensor(2.0)).item<float>(), 9.0f);
  EXPECT_THROW(jit([&](const Tensor& x) { return square.run({x}).at(0); })(tensor({1.0})),
               ShapeError);
}

}  // namespace
}  // namespace mlxnx
