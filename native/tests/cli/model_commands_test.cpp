// mlxnx inspect and convert, on models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

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

}  // namespace
}  // namespace mlxnx::cli
