// mlxnx run, inspect, transform, and replay of recorded programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "mlxnx/io.h"
#include "program/build_helpers.h"
#include "program/serializer.h"
#include "run_program.h"

namespace mlxnx::cli {
namespace {

using program::RegionBuilder;
using program::ValueId;
using testing::ElementsAre;
using testing::HasSubstr;

class ProgramCommands : public testing::Test {
 protected:
  ProgramCommands() {
    std::filesystem::create_directories(folder_);
    RegionBuilder builder;
    const ValueId x = builder.input("x", {DType::f32, {2}});
    const ValueId y = builder.input("y", {DType::f32, {2}});
    const ValueId told = builder.hook("seen", std::vector{builder.op("add", {x, y})}).front();
    program::save(builder.program(std::vector{told}, {"sum"}), file("p.mlxnx"));
    save_npy(file("x.npy"), tensor({1.0, 2.0}));
    save_npy(file("y.npy"), tensor({10.0, 20.0}));
  }
  ~ProgramCommands() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  // Standard output and error together, and then the exit status.
  static std::string command(const std::string& arguments) {
    const Result result = run_program(arguments);
    return result.text + "status " + std::to_string(result.status);
  }
  std::string run(const std::string& arguments) const {
    return command("run " + file("p.mlxnx") + " " + arguments);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("mlxnx_commands_" + std::to_string(::getpid()));
};

TEST_F(ProgramCommands, RunPrintsOutputsAndWhatHooksTell) {
  const std::string text = run("--input x=" + file("x.npy") + " --input 1=" + file("y.npy"));
  EXPECT_THAT(text, HasSubstr("seen: #Nx.Tensor<\n  f32[2]\n  [11.0, 22.0]\n>"));
  EXPECT_THAT(text, HasSubstr("sum: #Nx.Tensor<\n  f32[2]\n  [11.0, 22.0]\n>"));
  EXPECT_THAT(text, HasSubstr("status 0"));
}

TEST_F(ProgramCommands, RunWritesOutputs) {
  run("--input x=" + file("x.npy") + " --input y=" + file("y.npy") +
      " --output sum=" + file("sum.npy"));
  EXPECT_THAT(load_npy(file("sum.npy")).to_vector<float>(), ElementsAre(11.0f, 22.0f));
}

TEST_F(ProgramCommands, RunSaysWhatIsWrongWithItsArguments) {
  const std::string x = "--input x=" + file("x.npy");
  EXPECT_THAT(run(x), HasSubstr("input 1 (y), f32[2], is missing: --input y=file.npy"));
  EXPECT_THAT(run(x + " " + x), HasSubstr("x is given twice"));
  EXPECT_THAT(run("--input x"), HasSubstr("not of the form name=file.npy"));
  const std::string both = x + " --input y=" + file("y.npy");
  EXPECT_THAT(run(both + " --input z=" + file("y.npy")), HasSubstr("has no input z"));
  EXPECT_THAT(run(both + " --output z=" + file("z.npy")), HasSubstr("has no output z; it has sum"));
  EXPECT_THAT(run(x + " --input 0=" + file("y.npy")), HasSubstr("input 0 is given twice"));
  EXPECT_THAT(run("--input x="), HasSubstr("not of the form name=file.npy"));
  EXPECT_THAT(run(both + " --output sum=" + file("no/folder.npy")),
              HasSubstr(file("no/folder.npy") + " can't be written: No such file or directory"));
  save_npy(file("long.npy"), tensor({1.0, 2.0, 3.0}));
  EXPECT_THAT(run(x + " --input y=" + file("long.npy")),
              HasSubstr("input 1 (y), f32[2], can't be the f32[3] in " + file("long.npy")));
  EXPECT_THAT(command("run " + file("x.npy")), HasSubstr("mlxnx: [program] "));
}

TEST_F(ProgramCommands, InspectShowsTextAndGraph) {
  EXPECT_THAT(command("inspect " + file("p.mlxnx")), HasSubstr("%2 = add %0, %1 : f32[2]"));
  EXPECT_THAT(command("inspect --dot " + file("p.mlxnx")), HasSubstr("digraph program {"));
}

// A program of two outputs, x * y and n + 1, whose last input is an integer.
class TransformCommand : public ProgramCommands {
 protected:
  TransformCommand() {
    RegionBuilder builder;
    const ValueId x = builder.input("x", {DType::f32, {2}});
    const ValueId y = builder.input("", {DType::f32, {2}});
    const ValueId n = builder.input("n", {DType::s32, {}});
    const ValueId product = builder.op("multiply", {x, y});
    program::save(
        builder.program(std::vector{product, builder.op("add", {n, n})}, {"product", "twice"}),
        file("t.mlxnx"));
    save_npy(file("n.npy"), Tensor(7, DType::s32));
  }
  // The text of the command, which is empty but for the status where all went well.
  std::string transform(const std::string& arguments) const {
    return command("transform " + file("t.mlxnx") + " " + arguments + " -o " + file("o.mlxnx"));
  }
  std::vector<std::string> inputs() const {
    std::vector<std::string> names;
    for (const program::Input& input : program::load(file("o.mlxnx")).main.inputs)
      names.push_back(input.name);
    return names;
  }
  std::vector<std::string> outputs() const { return program::load(file("o.mlxnx")).output_names; }
  // Runs the new program; what it prints. `further` are inputs beyond those of the first.
  std::string run_new(const std::string& further = "") const {
    return command("run " + file("o.mlxnx") + " --input x=" + file("x.npy") +
                   " --input 1=" + file("y.npy") + " --input n=" + file("n.npy") + " " + further);
  }
};

std::string f32_pair(const std::string& name, const std::string& elements) {
  return name + ": #Nx.Tensor<\n  f32[2]\n  [" + elements + "]\n>";
}

TEST_F(TransformCommand, GradAddsGradientsOfTheFirstOutput) {
  EXPECT_EQ(transform("grad"), "status 0");
  EXPECT_THAT(inputs(), ElementsAre("x", "", "n"));
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "grad_x", "grad_1"));
  const std::string text = run_new();
  EXPECT_THAT(text, HasSubstr(f32_pair("product", "10.0, 40.0")));
  EXPECT_THAT(text, HasSubstr("twice: #Nx.Tensor<\n  s32\n  14\n>"));
  EXPECT_THAT(text, HasSubstr(f32_pair("grad_x", "10.0, 20.0")));
  EXPECT_THAT(text, HasSubstr(f32_pair("grad_1", "1.0, 2.0")));
}

TEST_F(TransformCommand, DifferentiatesByTheInputsThatAreNamed) {
  EXPECT_EQ(transform("grad --wrt 1"), "status 0");
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "grad_1"));
  EXPECT_EQ(transform("grad --wrt n x"), "status 0");
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "grad_n", "grad_x"));
  EXPECT_THAT(run_new(), HasSubstr("grad_n: #Nx.Tensor<\n  f32\n  0.0\n>"));
}

TEST_F(TransformCommand, VjpTakesCotangentsOfTheOutputs) {
  EXPECT_EQ(transform("vjp --wrt x"), "status 0");
  EXPECT_THAT(inputs(), ElementsAre("x", "", "n", "cotangent_product", "cotangent_twice"));
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "cotangent_x"));
  save_npy(file("one.npy"), Tensor(1.0, DType::f32));
  const std::string text =
      run_new("--input cotangent_product=" + file("y.npy") + " --input 4=" + file("one.npy"));
  EXPECT_THAT(text, HasSubstr(f32_pair("cotangent_x", "100.0, 400.0")));
}

TEST_F(TransformCommand, GradientsOfLoopsKeepWhatTheTapeSays) {
  program::save(program::counted_loop(5, 1.5, {2}), file("t.mlxnx"));
  EXPECT_EQ(transform("vjp --wrt 1"), "status 0");
  EXPECT_THAT(command("inspect " + file("o.mlxnx")), HasSubstr("tape: all"));
  EXPECT_EQ(transform("vjp --wrt 1 --tape sqrt"), "status 0");
  EXPECT_THAT(command("inspect " + file("o.mlxnx")), HasSubstr("tape: sqrt"));
  EXPECT_EQ(transform("grad --tape recompute --wrt 1"), "status 0");
  EXPECT_THAT(transform("jvp --tape all"), HasSubstr("[transform] jvp takes no --tape"));
  EXPECT_THAT(transform("vmap --size 2 --tape all"), HasSubstr("[transform] vmap takes no --tape"));
  EXPECT_THAT(transform("grad --tape most"), HasSubstr("--tape: most not in {"));
}

TEST_F(TransformCommand, JvpTakesTangentsOfTheInputs) {
  EXPECT_EQ(transform("jvp"), "status 0");
  EXPECT_THAT(inputs(), ElementsAre("x", "", "n", "tangent_x", "tangent_1"));
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "tangent_product", "tangent_twice"));
  const std::string text =
      run_new("--input tangent_x=" + file("x.npy") + " --input tangent_1=" + file("x.npy"));
  EXPECT_THAT(text, HasSubstr(f32_pair("tangent_product", "11.0, 44.0")));
  EXPECT_THAT(text, HasSubstr("tangent_twice: #Nx.Tensor<\n  f32\n  0.0\n>"));
}

TEST_F(TransformCommand, NamesAreToldApartWhereItIsDoneTwice) {
  EXPECT_EQ(transform("jvp --wrt x"), "status 0");
  EXPECT_EQ(command("transform " + file("o.mlxnx") + " jvp --wrt x -o " + file("o.mlxnx")),
            "status 0");
  EXPECT_THAT(inputs(), ElementsAre("x", "", "n", "tangent_x", "tangent_x_2"));
  EXPECT_THAT(outputs(), ElementsAre("product", "twice", "tangent_product", "tangent_twice",
                                     "tangent_product_2", "tangent_twice_2",
                                     "tangent_tangent_product", "tangent_tangent_twice"));
}

TEST_F(TransformCommand, VmapTakesAnAxisOfExamples) {
  const auto shapes = [&] {
    std::vector<Shape> all;
    for (const program::Input& input : program::load(file("o.mlxnx")).main.inputs)
      all.push_back(input.type.shape);
    return all;
  };
  EXPECT_EQ(transform("vmap --size 3"), "status 0");
  EXPECT_THAT(inputs(), ElementsAre("x", "", "n"));
  EXPECT_THAT(shapes(), ElementsAre(Shape{3, 2}, Shape{3, 2}, Shape{3}));
  EXPECT_THAT(outputs(), ElementsAre("product", "twice"));
  EXPECT_EQ(transform("vmap --size 2 --in-axes x=-1 1=none n=none --out-axes product=1"),
            "status 0");
  EXPECT_THAT(shapes(), ElementsAre(Shape{2, 2}, Shape{2}, Shape{}));
  save_npy(file("x.npy"), tensor({{1.0, 2.0}, {3.0, 4.0}}));
  const std::string text = run_new();
  EXPECT_THAT(text, HasSubstr("[10.0, 20.0],\n    [60.0, 80.0]"));
  EXPECT_THAT(text, HasSubstr("twice: #Nx.Tensor<\n  s32[2]\n  [14, 14]\n>"));
}

TEST_F(TransformCommand, SaysWhatIsWrongWithAxes) {
  EXPECT_THAT(transform("vmap"), HasSubstr("[transform] vmap needs --size"));
  EXPECT_THAT(transform("vmap --size 0"), HasSubstr("[vmap] 0 examples"));
  EXPECT_THAT(transform("vmap --size 2 --in-axes z=0"),
              HasSubstr("[transform] the program has no input z; it has x, 1, n"));
  EXPECT_THAT(transform("vmap --size 2 --out-axes x=0"),
              HasSubstr("[transform] the program has no output x; it has product, twice"));
  EXPECT_THAT(transform("vmap --size 2 --in-axes x=0 0=1"),
              HasSubstr("[transform] input 0 is given twice"));
  for (const char* word : {"x", "x=", "x=1a", "x=99999999999999999999"}) {
    EXPECT_THAT(transform(std::string("vmap --size 2 --in-axes ") + word),
                HasSubstr(std::string("[transform] ") + word + " is not of the form NAME=AXIS"));
  }
  EXPECT_THAT(transform("vmap --size 2 --in-axes x=2"),
              HasSubstr("[vmap] axis 2 of an input with 2 axes"));
  EXPECT_THAT(transform("vmap --size 2 --out-axes twice=none"),
              HasSubstr("[transform] every output has an axis of examples"));
  EXPECT_THAT(transform("vmap --size 2 --wrt x"), HasSubstr("[transform] vmap takes no --wrt"));
  EXPECT_THAT(transform("grad --in-axes x=0"),
              HasSubstr("[transform] grad takes no axes and no --size, which are of vmap"));
}

TEST_F(TransformCommand, SaysWhatIsWrongWithItsArguments) {
  EXPECT_THAT(transform("grad --wrt z"),
              HasSubstr("[transform] the program has no input z; it has x, 1, n"));
  EXPECT_THAT(transform("grad --wrt x 0"), HasSubstr("[transform] input 0 is given twice"));
  EXPECT_THAT(transform("integral"), HasSubstr("integral not in {grad,vjp,jvp,vmap}"));
  EXPECT_THAT(transform("integral"), HasSubstr("status 2"));
  EXPECT_THAT(command("transform " + file("x.npy") + " grad -o " + file("o.mlxnx")),
              HasSubstr("mlxnx: [program] " + file("x.npy")));
  EXPECT_THAT(command("transform " + file("t.mlxnx") + " grad -o " + file("no/folder.mlxnx")),
              HasSubstr("can't write " + file("no/folder.mlxnx") + ": No such file or directory"));
  EXPECT_THAT(command("transform " + file("t.mlxnx") + " grad"), HasSubstr("--output is required"));
}

TEST_F(TransformCommand, RefusesWhatHasNoGradient) {
  RegionBuilder integers;
  const ValueId n = integers.input("n", {DType::s32, {}});
  program::save(integers.program(std::vector{integers.op("add", {n, n})}), file("t.mlxnx"));
  EXPECT_THAT(transform("grad"),
              HasSubstr("[transform] the program has no input of a floating-point or complex type; "
                        "--wrt names others to differentiate by\nstatus 1"));
  RegionBuilder nothing;
  nothing.input("x", {DType::f32, {}});
  program::save(nothing.program(std::vector<ValueId>{}), file("t.mlxnx"));
  EXPECT_THAT(transform("grad"), HasSubstr("[grad] a function without a result\nstatus 1"));
  EXPECT_FALSE(std::filesystem::exists(file("o.mlxnx")));
}

TEST_F(ProgramCommands, ReplayRunsRecordedPrograms) {
  const auto tensor_at = [](int at) {
    return R"({"type":"f32","shape":[2],"at":)" + std::to_string(at) + "}";
  };
  const auto line = [&](int out, const std::string& callback) {
    return R"({"name":"sum","program":"p.mlxnx","in":[)" + tensor_at(0) + "," + tensor_at(8) +
           R"(],"out":[)" + tensor_at(out) + R"(],"callbacks":[{"name":")" + callback +
           R"(","in":[)" + tensor_at(16) + "]}]}\n";
  };
  std::ofstream(file("programs.jsonl")) << line(16, "seen") << line(8, "seen") << line(16, "other");
  const std::array<float, 6> values = {1, 2, 10, 20, 11, 22};
  std::ofstream data(file("programs.bin"), std::ios::binary);
  data.write(reinterpret_cast<const char*>(values.data()), sizeof values);
  data.close();
  const std::string text = command("replay " + folder_.string() + " --failures /dev/stdout");
  EXPECT_THAT(text, HasSubstr("1 passed, 2 failed, 0 skipped"));
  EXPECT_THAT(text, HasSubstr("output 0: element [0] is 11, expected 10"));
  EXPECT_THAT(text, HasSubstr("callback seen came, expected other"));
}

}  // namespace
}  // namespace mlxnx::cli
