// Fused kernels: what MLX writes into their source, and programs that can't be fused.
#include "mlxc/fusion.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "mlxc/kernel_compiler.h"
#include "mlxc/memory.h"
#include "mlxc/version.h"
#include "mlxnx/device.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"
#include "program/build_helpers.h"

namespace mlxnx::program {
namespace {

namespace fs = std::filesystem;

// So many elements that the host leaves them to MLX.
const Shape kShape{20'000};

// x, with each of the numbers in place of its elements.
Program constants_of(DType type, const std::vector<Number>& numbers) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", {type, kShape});
  const ValueId holds = builder.op("equal", {x, x});
  std::vector<ValueId> outputs;
  for (const Number& value : numbers)
    outputs.push_back(builder.op("select", {holds, number(builder, value, type), x}));
  return builder.program(outputs);
}

std::vector<Number> telling_numbers(DType type) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (type == DType::c64) {
    using Complex = std::complex<double>;
    return {Complex(kNan, kInfinity), Complex(1, -kInfinity), Complex(-0.0, 1.0 / 3),
            Complex(1.5, -2.5)};
  }
  return {kNan, kInfinity, -kInfinity, -0.0, 1.0 / 3, 0.1, 16777217.0, 0.30000000000000004, 2.5};
}

class FusedConstants : public testing::TestWithParam<DType> {};

TEST_P(FusedConstants, AreExact) {
  if (default_device() == Device::kCpu && !mlxc::can_fuse()) GTEST_SKIP() << "no compiler";
  const DType type = GetParam();
  const Program program = constants_of(type, telling_numbers(type));
  const std::vector<Tensor> inputs{broadcast(as_type(tensor(1.0), type), kShape)};
  const auto expected = run(program, inputs);
  testing::internal::CaptureStderr();
  const auto fused = run(program, inputs, {}, {.fusion = Fusion::kAlways});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "the kernel was not made";
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(fused.at(i).to_bytes(), expected[i].to_bytes()) << "number " << i;
}

struct Elementary {
  const char* op;
  double (*function)(double);
};

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

class FusedFunctions : public testing::TestWithParam<Elementary> {};

TEST_P(FusedFunctions, AreGoodFarOutToo) {
  const auto& [op, function] = GetParam();
  const std::string_view name = op;
  if ((name == "sin" || name == "cos") && mlxc::mlx_is_older_than(0, 32))
    GTEST_SKIP() << "before MLX 0.32 it is made of the tangent of half the angle";
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values{0.0f,   -0.0f, 1e-40f,    1.0f,       -1.0f, 5.0f,  20.0f,
                            -20.0f, 80.0f, kInfinity, -kInfinity, 1e-3f, 3e-8f, -0.5f};
  if (name != "sigmoid") values.insert(values.end(), {1e4f, -1e6f, 1e10f});
  while (values.size() < 20'000)
    values.push_back(static_cast<float>(std::sin(static_cast<double>(values.size())) * 10));
  RegionBuilder builder;
  const auto length = static_cast<std::int64_t>(values.size());
  const ValueId x = builder.input("x", f32({length}));
  const Program program = builder.program({builder.op(op, {builder.op("negate", {x})})});
  const auto fused = run(program, {tensor(values)}, {}, {.fusion = Fusion::kAlways});
  const auto results = fused.at(0).to_vector<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto expected = static_cast<float>(function(-static_cast<double>(values[i])));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(results[i])) << op << "(" << -values[i] << ") is " << results[i];
      continue;
    }
    const float unit = std::nextafter(std::abs(expected), kInfinity) - std::abs(expected);
    EXPECT_LE(std::abs(results[i] - expected), 4 * unit) << op << "(" << -values[i] << ")";
  }
}

INSTANTIATE_TEST_SUITE_P(Functions, FusedFunctions,
                         testing::Values(Elementary{"sigmoid", &sigmoid_of},
                                         Elementary{"erf", &std::erf}, Elementary{"sin", &std::sin},
                                         Elementary{"cos", &std::cos},
                                         Elementary{"tanh", &std::tanh}),
                         [](const auto& info) { return std::string(info.param.op); });

// a * b + a of rows within longer ones, and of a row and a column that were stretched.
class FusedRows : public testing::TestWithParam<DType> {};

TEST_P(FusedRows, AreTheSameInKernels) {
  const DType type = GetParam();
  for (const std::int64_t length : {1, 15, 16, 17, 255, 256, 257, 600}) {
    const Shape shape{40, length};
    RegionBuilder builder;
    const ValueId a = builder.input("a", {type, shape}), b = builder.input("b", {type, shape});
    const ValueId c = builder.input("c", {type, shape});
    const ValueId sum = builder.op("add", {builder.op("multiply", {a, b}), a});
    const Program program = builder.program({builder.op("add", {sum, c}), sum});
    const auto counted = [type](const Shape& of) { return as_type(remainder(iota(of), 11), type); };
    const Tensor longer = counted({40, length + 3});
    const Tensor rows = slice(longer, {0, 2}, {40, length});
    const Tensor column = broadcast(counted({40, 1}), shape);
    const Tensor row = broadcast(counted({1, length}), shape);
    const Tensor turned = transpose(counted({length, 40}));
    const Tensor backwards = reverse(counted(shape));
    for (const std::vector<Tensor>& inputs : std::vector<std::vector<Tensor>>{
             {rows, column, row}, {column, row, rows}, {turned, backwards, column}}) {
      eval(inputs);
      const auto expected = run(program, inputs);
      const auto fused = run(program, inputs, {}, {.fusion = Fusion::kAlways});
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(fused.at(i).to_bytes(), expected[i].to_bytes()) << "length " << length;
    }
  }
}

// A kernel's first result takes the place of an operand that nobody reads later.
TEST(FusedKernels, MayWriteIntoWhatTheyRead) {
  const Shape shape{150, 150};
  RegionBuilder builder;
  const ValueId a = builder.input("a", f32(shape)), b = builder.input("b", f32(shape));
  const ops::Attrs rows_by_columns{{"contract_axes1", Axes{1}}, {"contract_axes2", Axes{0}}};
  const ValueId product = builder.op("dot", {a, b}, rows_by_columns);
  const ValueId first =
      builder.op("multiply", {builder.op("add", {product, number(builder, 1.0)}), product});
  const ValueId second = builder.op("subtract", {product, first});
  const Program program =
      builder.program({first, second, builder.op("multiply", {second, product})});
  const Tensor values = as_type(remainder(iota(shape), 7), DType::f32);
  const std::vector<Tensor> inputs{values, transpose(values)};
  eval(inputs);
  const auto expected = run(program, inputs);
  const auto fused = run(program, inputs, {}, {.fusion = Fusion::kAlways});
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(fused.at(i).to_vector<float>(), expected[i].to_vector<float>()) << "result " << i;
}

// A compiler that refuses kernels of some op: a script of that name, first on the PATH.
class RefusingCompiler {
 public:
  explicit RefusingCompiler(const std::string& refused) {
    std::string name = (fs::temp_directory_path() / "mlxnx-fusion-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const std::string path = std::getenv("PATH");
    std::ofstream(folder_ / "g++") << "#!/bin/sh\n"
                                      "PATH='" +
                                          path +
                                          "'\n"
                                          "case $* in *--version*) exec g++ \"$@\" ;; esac\n"
                                          "for file in \"$@\" /dev/null; do\n"
                                          "  case $file in *.cpp) grep -q '" +
                                          refused +
                                          "' \"$file\" && exit 1 ;; esac\n"
                                          "done\n"
                                          "[ '" +
                                          refused +
                                          "' = '' ] && exit 1\n"
                                          "exec g++ \"$@\"\n";
    fs::permissions(folder_ / "g++", fs::perms::owner_all);
    ::setenv("PATH", (folder_.string() + ":" + path).c_str(), 1);
    ::setenv("MLXNX_KERNEL_CACHE", folder_.c_str(), 1);
    ::setenv("MLXNX_FUSE", "compiler", 1);
  }
  ~RefusingCompiler() { fs::remove_all(folder_); }

  std::size_t kernels() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      count += entry.path().extension() == ".so";
    return count;
  }

 private:
  fs::path folder_;
};

// Of two repeats of one number nothing but the shape tells the negations apart.
TEST(FusedByKernels, EqualStepsOfTwoShapesAreTwo) {
  RegionBuilder builder;
  const ValueId s = builder.input("s", f32());
  std::vector<ValueId> outputs;
  for (const Shape& shape : {Shape{300, 100}, Shape{200, 150}}) {
    const ValueId wide = builder.op("broadcast", {s}, {{"shape", shape}, {"axes", Axes{}}});
    outputs.push_back(builder.op("sum", {builder.op("negate", {wide})},
                                 {{"axes", Axes{1}}, {"keep_axes", false}}));
  }
  const Executable program(builder.program(outputs));
  for (int i = 0; i < 2; ++i) {
    const std::vector<Tensor> results = program.run(std::vector<Tensor>{tensor(2.0)});
    EXPECT_EQ(results[0].to_vector<float>(), std::vector<float>(300, -200.0F));
    EXPECT_EQ(results[1].to_vector<float>(), std::vector<float>(200, -300.0F));
  }
}

// One node has memory for its result and no other.
TEST(FusedByKernels, ManyStepsAreOneNode) {
  if (default_device() != Device::kCpu || mlxc::fusion() != mlxc::Fusion::kByKernels)
    GTEST_SKIP() << "programs are not fused by kernels here";
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32(kShape));
  const ValueId sine = builder.op("sin", {x}), power = builder.op("exp", {sine});
  const ValueId sum = builder.op("add", {builder.op("multiply", {sine, power}), x});
  const Executable program(builder.program({builder.op("tanh", {sum})}));
  const std::vector<Tensor> inputs{broadcast(tensor(0.5), kShape) + 0.25};
  eval(inputs[0]);
  const double s = std::sin(0.75), expected = std::tanh(s * std::exp(s) + 0.75);
  EXPECT_NEAR(program.run(inputs).at(0).to_vector<float>().back(), expected, 1e-6);
  const Tensor result = program.run(inputs).at(0);
  mlxc::fail_allocations(2);
  EXPECT_NO_THROW(eval(result));
  mlxc::fail_allocations(0);
}

Program twice(const char* op) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32(kShape));
  return builder.program({builder.op(op, {builder.op(op, {x})})});
}

// In a process of its own, whose exit status says whether all is as it should be: what is learnt of
// the compiler is kept for good.
[[noreturn]] void run_fused(const std::string& refused, std::size_t kernels) {
  bool is_right = true;
  {
    const RefusingCompiler compiler(refused);
    const std::vector<Tensor> inputs{broadcast(tensor(0.0), kShape)};
    for (const char* op : {"tanh", "sin", "sin", "negate"}) {
      const Executable program(twice(op), {.fusion = Fusion::kAlways});
      for (int i = 0; i < 2; ++i)
        is_right &= program.run(inputs).at(0).to_vector<float>() ==
                    std::vector<float>(static_cast<std::size_t>(kShape[0]), 0.0f);
    }
    is_right &= compiler.kernels() == kernels;
  }
  std::fflush(stderr);
  std::_Exit(is_right ? 0 : 1);
}

// x * tanh(s) + x, whose kernel is to get along without tanh.
[[noreturn]] void run_scaled_by_number() {
  bool is_right = true;
  {
    const RefusingCompiler compiler("Tanh");
    RegionBuilder builder;
    const ValueId x = builder.input("x", f32(kShape));
    const ValueId s = builder.input("s", f32());
    const ValueId scaled = builder.op("multiply", {x, builder.op("tanh", {s})});
    const Executable program(builder.program({builder.op("add", {scaled, x})}),
                             {.fusion = Fusion::kAlways});
    const std::vector<Tensor> inputs{broadcast(tensor(2.0), kShape), tensor(100.0)};
    is_right &= program.run(inputs).at(0).to_vector<float>() ==
                std::vector<float>(static_cast<std::size_t>(kShape[0]), 4.0f);
    is_right &= compiler.kernels() == 1;
  }
  std::fflush(stderr);
  std::_Exit(is_right ? 0 : 1);
}

// Functions whose loops are changed, in rows and over strides, with a compiler that takes no kernel
// as MLX wrote it.
[[noreturn]] void run_changed_kernels() {
  std::size_t wrong = 0;
  {
    const RefusingCompiler compiler("^namespace\\|compiled_preamble");
    std::size_t made = 0;
    for (const DType type : {DType::f32, DType::bf16}) {
      for (const char* op : {"sigmoid", "erf", "sin", "cos", "exp"}) {
        RegionBuilder builder;
        const ValueId x = builder.input("x", {type, {128, 128}});
        const Executable program(
            builder.program({builder.op("add", {builder.op(op, {builder.op("negate", {x})}), x})}),
            {.fusion = Fusion::kAlways});
        const Tensor wide = as_type(iota({128, 256}) * 1e-4, type);
        eval(wide);
        program.run(std::vector{slice(wide, {0, 0}, {128, 128})});
        const std::size_t kernels = compiler.kernels();
        if (kernels == made) {
          std::fprintf(stderr, "no kernel of %s in %s\n", op, std::string(name(type)).c_str());
          ++wrong;
        }
        made = kernels;
      }
    }
  }
  std::fflush(stderr);
  std::_Exit(wrong == 0 ? 0 : 1);
}

class FailingFusionDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    if (default_device() != Device::kCpu) GTEST_SKIP() << "a GPU's kernels need no compiler";
    if (!mlxc::can_fuse()) GTEST_SKIP() << "there is no compiler";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

TEST_F(FailingFusionDeathTest, CostsOnlyItsProgramTheFusion) {
  EXPECT_EXIT(run_fused("Tanh", 2), testing::ExitedWithCode(0),
              "^mlxnx: a compiled program runs unfused .others are not told of.: [^\n]*\n$");
}

TEST_F(FailingFusionDeathTest, EndsFusionWhereNothingCanBeCompiled) {
  EXPECT_EXIT(run_fused("", 0), testing::ExitedWithCode(0),
              "^mlxnx: compiled programs run unfused: [^\n]*");
}

TEST_F(FailingFusionDeathTest, IsNotMetByWhatIsComputedOnceForAllElements) {
  EXPECT_EXIT(run_scaled_by_number(), testing::ExitedWithCode(0), "^$");
}

TEST_F(FailingFusionDeathTest, IsNotMetByChangedKernels) {
  EXPECT_EXIT(run_changed_kernels(), testing::ExitedWithCode(0), "^$");
}

std::string type_name(const testing::TestParamInfo<DType>& info) {
  return std::string(name(info.param));
}

INSTANTIATE_TEST_SUITE_P(Types, FusedConstants,
                         testing::Values(DType::f32, DType::f64, DType::f16, DType::bf16,
                                         DType::c64),
                         type_name);

INSTANTIATE_TEST_SUITE_P(Types, FusedRows,
                         testing::Values(DType::f32, DType::f64, DType::f16, DType::bf16,
                                         DType::c64, DType::s8, DType::u64),
                         type_name);

}  // namespace
}  // namespace mlxnx::program
