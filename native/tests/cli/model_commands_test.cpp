// mlxnx inspect and convert, on models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>

#include "mlxnx/checkpoint.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "run_program.h"
#include "temp_folder.h"

namespace mlxnx::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::TempFolder;

class ModelCommands : public testing::Test {
 protected:
  ModelCommands() {
    const Tensor weight = random::normal(as_type(tensor({0, 1}), DType::u32), {32, 64});
    std::filesystem::create_directory(folder_ / "model");
    save_safetensors(folder_ / "model/model.safetensors",
                     {{"model.layers.0.mlp.down_proj.weight", weight},
                      {"model.norm.weight", as_type(iota({64}), DType::f32)}});
    folder_.write("model/config.json",
                  R"({"model_type": "llama", "num_hidden_layers": 1, "vocab_size": 4})");
  }
  std::string file(const char* name) const { return (folder_ / name).string(); }
  TempFolder folder_;
};

TEST_F(ModelCommands, InspectSumsUpAndListsTensors) {
  const Result table = run_program("inspect " + file("model"));
  EXPECT_EQ(table.status, 0) << table.text;
  EXPECT_THAT(table.text,
              AllOf(HasSubstr("model type llama"), HasSubstr("2 tensors, 2112 parameters"),
                    HasSubstr("f32[32][64]"), HasSubstr("8.2 kB")));
  const Result json = run_program("inspect --json " + file("model/model.safetensors"));
  const auto value = nlohmann::json::parse(json.text);
  EXPECT_EQ(value["parameters"], 2112);
  EXPECT_EQ(value["format"], "safetensors");
  EXPECT_EQ(value["tensors"][1]["name"], "model.norm.weight");
  EXPECT_EQ(value["tensors"][1]["shape"], nlohmann::json({64}));
}

TEST_F(ModelCommands, ConvertQuantizesAndTellsTheSize) {
  const Result result = run_program("convert " + file("model") + " -q -o " + file("q"));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("bits per weight"));
  EXPECT_THAT(run_program("inspect " + file("q")).text,
              HasSubstr("1 layer quantized: affine 4 bits, groups of 64"));
  EXPECT_THAT(
      run_program("inspect " + file("q/model.safetensors")).text,
      AllOf(HasSubstr("1 layer quantized: the bits are not known"), HasSubstr("u32[32][8]")));
  const Result again = run_program("convert " + file("model") + " -q -o " + file("q"));
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.text, AllOf(HasSubstr("exists"), Not(HasSubstr("writing"))));
  EXPECT_EQ(run_program("convert --quiet " + file("q") + " --dequantize -o " + file("d")).text, "");
  EXPECT_EQ(Checkpoint(file("d")).read("model.norm.weight").to_vector<float>()[3], 3.0f);
}

TEST_F(ModelCommands, ConvertWritesGgufByTheSuffix) {
  const std::string gguf = file("m.gguf");
  const Result result = run_program("convert " + file("model") + " --gguf-type q8_0 -o " + gguf);
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(run_program("inspect " + gguf).text,
              AllOf(HasSubstr("gguf, model type llama"), HasSubstr("Q8_0")));
  EXPECT_THAT(run_program("convert " + file("model") + " -q -o " + file("n.gguf")).text,
              HasSubstr("--gguf-type"));
  EXPECT_THAT(run_program("convert " + file("model") + " --q-bits 8 -o " + file("n")).text,
              HasSubstr("add -q"));
}

TEST_F(ModelCommands, RefusesOptionsThatWouldMeanNothing) {
  const auto told = [&](const std::string& options) {
    const Result result = run_program("convert " + file("model") + " " + options);
    EXPECT_EQ(result.status, 1) << options;
    return result.text;
  };
  EXPECT_THAT(told("--gguf-type q8_0 -o " + file("n")), HasSubstr("is for .gguf files"));
  EXPECT_THAT(told("--q-mode mxfp4 -o " + file("n")), HasSubstr("add -q"));
  EXPECT_THAT(told("-o " + file("n.safetensors")), HasSubstr("the output is a folder"));
  EXPECT_THAT(told("-o ''"), HasSubstr("no name"));
  EXPECT_EQ(folder_.count(), 1);
}

TEST_F(ModelCommands, InspectShowsWhatItCantUse) {
  folder_.write("model/config.json", R"({"model_type": 5})");
  EXPECT_THAT(run_program("inspect " + file("model")).text, HasSubstr(R"({"model_type":5})"));
  folder_.write("model/config.json", R"({"quantization": {"model.layers.0.mlp.down_proj":
                                         {"bits": 2, "group_size": 64}}})");
  const Quantized packed =
      quantize(constant(1.0, DType::f32, {32, 64}), {.bits = 8, .group_size = 64});
  save_safetensors(folder_ / "model/model.safetensors",
                   {{"model.layers.0.mlp.down_proj.weight", packed.weight},
                    {"model.layers.0.mlp.down_proj.scales", packed.scales}});
  EXPECT_THAT(run_program("inspect " + file("model")).text,
              HasSubstr("the settings say 2 bits in groups of 64"));
}

// How a conversion ends that gets signals once it has begun to write.
class InterruptedConversion : public ModelCommands {
 protected:
  InterruptedConversion() {
    std::map<std::string, Tensor> tensors;
    const Tensor weight = random::normal(as_type(tensor({0, 1}), DType::u32), {1024, 1024});
    constexpr int kMany = 40;
    for (int i = 0; i < kMany; ++i) tensors.emplace("l" + std::to_string(i) + ".weight", weight);
    save_safetensors(folder_ / "model/model.safetensors", tensors);
  }

  Result ended(const std::string& kills, const std::string& options) const {
    const std::string process = file("process");
    return run_shell("( until ls '" + folder_.path().string() +
                     "'/*.partial >/dev/null 2>&1; do sleep 0.01; done; p=$(cat '" + process +
                     "'); " + kills + " ) & env --default-signal=INT sh -c 'echo $$ >\"" + process +
                     "\"; exec \"" MLXNX_PROGRAM "\" convert --quiet " + file("model") + " " +
                     options + "' 2>&1");
  }
};

TEST_F(InterruptedConversion, LeavesNothing) {
  const std::string folder = "-q -o " + file("out");
  const std::tuple<std::string, std::string, int> cases[] = {
      {"kill -TERM $p", folder, 143},
      {"kill -HUP $p", folder, 129},
      {"kill -INT $p", folder, 130},
      {"kill -INT $p; kill -INT $p", folder, 130}};
  for (const auto& [kills, options, status] : cases) {
    EXPECT_EQ(ended(kills, options).status, status) << kills << ", " << options;
    EXPECT_EQ(folder_.count(), 2) << kills << ", " << options;
  }
}

TEST_F(InterruptedConversion, LeavesNothingWhereNobodyListens) {
  run_shell("{ '" MLXNX_PROGRAM "' convert " + file("model") + " -q -o " + file("out") +
            " ; echo $? > '" + file("status") + "'; } 2>&1 | true");
  std::ifstream status(file("status"));
  int number = 0;
  status >> number;
  EXPECT_EQ(number, 141);
  EXPECT_EQ(folder_.count(), 2);
}

}  // namespace
}  // namespace mlxnx::cli
