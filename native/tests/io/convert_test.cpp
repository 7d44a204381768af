// Models written anew.
#include "mlxnx/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::error_of;
using testing_support::TempFolder;

Tensor random_matrix(std::int64_t seed, Shape shape) {
  return random::normal(as_type(tensor({0, seed}), DType::u32), shape);
}

// A model of eight layers, in f32.
void write_model(const TempFolder& folder, const std::string& settings = "") {
  std::map<std::string, Tensor> tensors{
      {"model.embed_tokens.weight", random_matrix(1, {32, 64})},
      {"lm_head.weight", random_matrix(2, {32, 64})},
      {"model.norm.weight", random_matrix(3, {64})},
      {"model.conv.weight", random_matrix(4, {4, 3, 64})},
      {"model.odd.weight", random_matrix(5, {4, 40})},
  };
  for (int layer = 0; layer < 8; ++layer) {
    const std::string path = "model.layers." + std::to_string(layer);
    for (const char* name : {".self_attn.v_proj", ".mlp.down_proj", ".mlp.up_proj"})
      tensors.emplace(path + name + ".weight", random_matrix(10 + layer, {64, 64}));
    tensors.emplace(path + ".self_attn.v_proj.bias", random_matrix(9, {64}));
  }
  save_safetensors(folder / "model.safetensors", tensors);
  folder.write("config.json", R"({"model_type": "llama", "num_hidden_layers": 8, "kept": {"a": 1},
                                  "_name_or_path": "x")" +
                                  settings + "}");
  folder.write("tokenizer.json", "{}");
  folder.write("generation_config.json", R"({"eos_token_id": 3})");
  folder.write("evil.py", "");
  folder.write("notes.md", "");
}

std::vector<std::string> listed(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Convert, QuantizesTheMatricesOfLayers) {
  const TempFolder folder, other;
  write_model(folder);
  const fs::path place = other / "quantized";
  const Converted written = convert(Checkpoint(folder.path()), place,
                                    {.quantize = Quantization{.bits = 4, .group_size = 32}});
  const Checkpoint checkpoint(place);
  EXPECT_THAT(listed(place),
              ElementsAre("config.json", "generation_config.json", "model.safetensors",
                          "model.safetensors.index.json", "tokenizer.json"));
  const Quantization form{.bits = 4, .group_size = 32};
  EXPECT_EQ(checkpoint.quantization("model.layers.3.mlp.up_proj"), form);
  EXPECT_EQ(checkpoint.quantization("model.embed_tokens"), form);
  EXPECT_FALSE(checkpoint.quantization("model.conv"));
  EXPECT_FALSE(checkpoint.quantization("model.odd"));
  const Quantized expected = quantize(random_matrix(1, {32, 64}), form);
  EXPECT_EQ(checkpoint.read("model.embed_tokens.weight").to_bytes(), expected.weight.to_bytes());
  EXPECT_EQ(checkpoint.read("model.embed_tokens.biases").to_bytes(), expected.biases->to_bytes());
  EXPECT_EQ(checkpoint.read("model.norm.weight").to_bytes(), random_matrix(3, {64}).to_bytes());
  const Config config = Config::read(place / "config.json");
  EXPECT_EQ(config.get<Config>("quantization").to_json(),
            R"({"bits":4,"group_size":32,"mode":"affine"})");
  EXPECT_TRUE(config.contains("quantization_config"));
  EXPECT_FALSE(config.contains("_name_or_path"));
  EXPECT_EQ(config.get<Config>("kept").get<std::int64_t>("a"), 1);
  EXPECT_EQ(written.parameters, 2u * 32 * 64 + 64 + 4 * 3 * 64 + 4 * 40 + 8 * (3 * 64 * 64 + 64));
  EXPECT_EQ(other.count(), 1) << "something partial is left";
}

TEST(Convert, MakesDenseAgainWhatWasQuantized) {
  const TempFolder folder, other;
  write_model(folder);
  convert(Checkpoint(folder.path()), other / "q", {.quantize = Quantization{.bits = 8}});
  convert(Checkpoint(other / "q"), other / "dense", {.dtype = DType::f16, .dequantize = true});
  const Checkpoint dense(other / "dense");
  EXPECT_FALSE(dense.config().contains("quantization"));
  const Tensor weight = dense.read("model.layers.0.mlp.up_proj.weight");
  EXPECT_EQ(to_string(weight.type()), "f16[64][64]");
  EXPECT_TRUE(all_close(as_type(weight, DType::f32), random_matrix(10, {64, 64}),
                        {.rtol = 0.02, .atol = 0.03})
                  .item<bool>());
  for (const CheckpointTensor& tensor : dense.tensors())
    EXPECT_THAT(tensor.name, Not(HasSubstr("scales")));
}

TEST(Convert, KeepsModesOfFloats) {
  const TempFolder folder, other;
  write_model(folder, R"(, "torch_dtype": "bfloat16")");
  using enum QuantizationMode;
  for (const QuantizationMode mode : {kMxfp4, kNvfp4, kMxfp8}) {
    const fs::path place = other / name(mode);
    convert(Checkpoint(folder.path()), place, {.quantize = Quantization{.mode = mode}});
    const Checkpoint checkpoint(place);
    EXPECT_EQ(checkpoint.quantization("lm_head")->mode, mode);
    EXPECT_EQ(checkpoint.read("model.norm.weight").dtype(), DType::bf16);
    EXPECT_FALSE(checkpoint.contains("lm_head.biases"));
  }
}

TEST(Convert, GivesMoreBitsToSomeLayersByARecipe) {
  const TempFolder folder, other;
  write_model(folder);
  convert(Checkpoint(folder.path()), other / "mixed",
          {.quantize = Quantization{}, .recipe = "mixed_3_6"});
  const Checkpoint checkpoint(other / "mixed");
  const auto bits = [&](const std::string& layer) { return *checkpoint.quantization(layer)->bits; };
  EXPECT_EQ(bits("lm_head"), 6);
  EXPECT_EQ(bits("model.embed_tokens"), 3);
  std::vector<std::int64_t> down, up;
  for (int layer = 0; layer < 8; ++layer) {
    down.push_back(bits("model.layers." + std::to_string(layer) + ".mlp.down_proj"));
    up.push_back(bits("model.layers." + std::to_string(layer) + ".mlp.up_proj"));
  }
  // The first and the last eighth, and each third between.
  EXPECT_THAT(down, ElementsAre(6, 3, 3, 6, 3, 3, 6, 6));
  EXPECT_THAT(up, ElementsAre(3, 3, 3, 3, 3, 3, 3, 3));
}

TEST(Convert, SplitsWhatIsLargeIntoShards) {
  const TempFolder folder, other;
  write_model(folder);
  convert(Checkpoint(folder.path()), other / "shards", {.write = {.most_shard_bytes = 100'000}});
  const std::vector<std::string> names = listed(other / "shards");
  EXPECT_THAT(names, Contains("model-00001-of-00005.safetensors"));
  EXPECT_THAT(names, Contains("model-00005-of-00005.safetensors"));
  const Checkpoint before(folder.path()), after(other / "shards");
  ASSERT_EQ(before.tensors().size(), after.tensors().size());
  for (const CheckpointTensor& tensor : before.tensors())
    EXPECT_EQ(before.read(tensor.name).to_bytes(), after.read(tensor.name).to_bytes());
  const std::string index = text_of(other / "shards" / "model.safetensors.index.json");
  EXPECT_THAT(index, AllOf(HasSubstr("total_size"), HasSubstr("total_parameters")));
}

TEST(Convert, TakesAwayShardsOfAModelThatStoodThere) {
  const TempFolder folder;
  const auto planned = [](const std::string& name, int value) {
    return PlannedTensor{name, {DType::s32, {}}, [value] { return Tensor(value); }};
  };
  folder.write("model-best.safetensors", "mine");
  write_weights(folder.path(), {planned("a", 1), planned("b", 2)}, 2, {.most_shard_bytes = 4});
  EXPECT_TRUE(fs::exists(folder / "model-00002-of-00002.safetensors"));
  write_weights(folder.path(), {planned("a", 3)}, 1);
  EXPECT_THAT(listed(folder.path()), ElementsAre("model-best.safetensors", "model.safetensors",
                                                 "model.safetensors.index.json"));
  EXPECT_EQ(TensorFile(folder / "model.safetensors").read("a").item<int>(), 3);
  EXPECT_THAT(
      error_of<ArgumentError>([&] {
        write_weights(folder.path(), {{"a", {DType::f32, {}}, [] { return Tensor(1); }}}, 1);
      }),
      AllOf(HasSubstr("planned as f32"), HasSubstr("made as s32")));
  EXPECT_EQ(TensorFile(folder / "model.safetensors").read("a").item<int>(), 3);
}

TEST(Convert, EndsWithoutATraceWhereItIsAskedTo) {
  const TempFolder folder, other;
  write_model(folder);
  int calls = 0;
  const ConvertOptions options{.write = {.progress = [&](std::uint64_t done, std::uint64_t total) {
                                 EXPECT_LE(done, total);
                                 return ++calls < 3;
                               }}};
  EXPECT_THAT(error_of<InterruptedError>(
                  [&] { convert(Checkpoint(folder.path()), other / "none", options); }),
              HasSubstr("ended before all was written"));
  EXPECT_EQ(other.count(), 0);
}

TEST(Convert, RefusesWhatContradictsItself) {
  const TempFolder folder, other;
  write_model(folder);
  const Checkpoint checkpoint(folder.path());
  const auto told = [&](const ConvertOptions& options) {
    return error_of<ArgumentError>([&] { convert(checkpoint, other / "x", options); });
  };
  EXPECT_THAT(told({.quantize = Quantization{}, .dequantize = true}), HasSubstr("not both"));
  EXPECT_THAT(told({.recipe = "mixed_2_6"}), HasSubstr("quantize"));
  EXPECT_THAT(told({.quantize = Quantization{}, .recipe = "mixed_1_2"}), HasSubstr("mixed_4_6"));
  EXPECT_THAT(
      told({.quantize = Quantization{.mode = QuantizationMode::kMxfp4}, .recipe = "mixed_2_6"}),
      HasSubstr("affine only"));
  EXPECT_THAT(told({.dtype = DType::s32}), HasSubstr("s32"));
  EXPECT_THAT(told({.dtype = DType::f64}), HasSubstr("f64"));
  EXPECT_THAT(told({.quantize = Quantization{.bits = 7}}), HasSubstr("bits"));
  EXPECT_EQ(other.count(), 0);
  fs::create_directory(other / "x");
  EXPECT_THAT(told({}), AllOf(HasSubstr("exists"), HasSubstr((other / "x").string())));
  EXPECT_THAT(error_of<ArgumentError>([&] { convert(checkpoint, "/proc/none/x"); }),
              HasSubstr("can't be written"));
}

}  // namespace
}  // namespace mlxnx
