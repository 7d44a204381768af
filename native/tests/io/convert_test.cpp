// Models written anew.
#include "mlxnx/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "error_of.h"
#include "files/file_errors.h"
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
                                  "tie_word_embeddings": false,
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

TEST(Convert, RefusesToQuantizeNothing) {
  const TempFolder folder, other;
  write_model(folder);
  const auto refused = [&](const fs::path& place, const Quantization& form) {
    return error_of<ArgumentError>(
        [&] { convert(Checkpoint(folder.path()), place, {.quantize = form}); });
  };
  EXPECT_THAT(refused(other / "none", {.bits = 4, .group_size = 128}),
              HasSubstr("no dense matrix of a layer has rows that groups of 128 divide"));
  // Folders by other names.
  for (const fs::path& place : {fs::path("."), fs::path("nowhere/.."), fs::path("..")})
    EXPECT_THAT(refused(place, {.bits = 4, .group_size = 32}), HasSubstr("exists")) << place;
  EXPECT_EQ(other.count(), 0);
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

TEST(Convert, LeavesOutAHeadThatIsTheEmbedding) {
  const TempFolder folder, other;
  const auto has_head = [&](const std::string& settings) {
    write_model(folder);
    folder.write("config.json", settings);
    fs::remove_all(other / "x");
    convert(Checkpoint(folder.path()), other / "x", {.quantize = Quantization{.group_size = 32}});
    return Checkpoint(other / "x").contains("lm_head.scales");
  };
  EXPECT_FALSE(has_head(R"({"model_type": "llama"})"));  // its default
  EXPECT_TRUE(has_head(R"({"model_type": "qwen3"})"));
  EXPECT_FALSE(has_head(R"({"model_type": "qwen3", "tie_word_embeddings": true})"));
  EXPECT_TRUE(has_head(R"({"model_type": "llama", "tie_word_embeddings": false})"));
  EXPECT_TRUE(has_head(R"({"model_type": "deepseek_v3", "tie_word_embeddings": true})"));
}

TEST(Convert, QuantizesRoutersAsTheirFamiliesDo) {
  const TempFolder folder, other;
  const auto forms = [&](const std::string& model_type) {
    save_safetensors(folder / "model.safetensors",
                     {{"model.layers.0.mlp.gate.weight", random_matrix(1, {8, 64})},
                      {"model.layers.0.mlp.down_proj.weight", random_matrix(2, {64, 64})}});
    folder.write("config.json", R"({"model_type": ")" + model_type + "\"}");
    fs::remove_all(other / "x");
    convert(Checkpoint(folder.path()), other / "x", {.quantize = Quantization{.group_size = 32}});
    const Checkpoint checkpoint(other / "x");
    return std::pair(checkpoint.quantization("model.layers.0.mlp.gate"),
                     checkpoint.quantization("model.layers.0.mlp.down_proj"));
  };
  const Quantization usual{.bits = 4, .group_size = 32}, eight{.bits = 8, .group_size = 64};
  EXPECT_EQ(forms("deepseek_v3"), std::pair(std::optional<Quantization>(), std::optional(usual)));
  EXPECT_EQ(forms("qwen3_moe"), std::pair(std::optional(eight), std::optional(usual)));
  EXPECT_EQ(forms("olmoe"), std::pair(std::optional(usual), std::optional(usual)));
  EXPECT_EQ(forms("granite"), std::pair(std::optional<Quantization>(), std::optional(eight)));
}

TEST(Convert, RefusesToQuantizeMatricesThatBecomeOthers) {
  const TempFolder folder, other;
  const auto told = [&](const std::string& model_type, const std::string& name) {
    save_safetensors(folder / "model.safetensors", {{name, random_matrix(1, {8, 64})}});
    folder.write("config.json", R"({"model_type": ")" + model_type + "\"}");
    return error_of<UnsupportedError>(
        [&] { convert(Checkpoint(folder.path()), other / "x", {.quantize = Quantization{}}); });
  };
  EXPECT_THAT(told("gpt2", "h.0.attn.c_attn.weight"),
              AllOf(HasSubstr("\"gpt2\""), HasSubstr("h.0.attn.c_attn.weight")));
  EXPECT_THAT(told("qwen3_moe", "model.layers.0.mlp.experts.3.up_proj.weight"),
              HasSubstr("experts.3"));
  EXPECT_EQ(other.count(), 0);
}

TEST(Convert, KeepsTheTypeOfWhatLosesTooMuch) {
  const TempFolder folder, other;
  save_safetensors(folder / "model.safetensors",
                   {{"l.gate.e_score_correction_bias", random_matrix(1, {8})},
                    {"l.mixer.A_log", random_matrix(2, {8})},
                    {"l.bias", random_matrix(3, {8})}});
  folder.write("config.json", R"({"model_type": "nemotron_h", "torch_dtype": "bfloat16"})");
  convert(Checkpoint(folder.path()), other / "x");
  const Checkpoint checkpoint(other / "x");
  EXPECT_EQ(checkpoint.find("l.gate.e_score_correction_bias")->type.dtype, DType::f32);
  EXPECT_EQ(checkpoint.find("l.mixer.A_log")->type.dtype, DType::f32);
  EXPECT_EQ(checkpoint.find("l.bias")->type.dtype, DType::bf16);
}

TEST(Convert, WritesNoNameTwice) {
  const TempFolder folder, other;
  save_safetensors(folder / "model.safetensors", {{"l.weight", random_matrix(1, {8, 64})},
                                                  {"l.scales", random_matrix(2, {8, 1})},
                                                  {"l.biases", random_matrix(3, {8, 1})}});
  folder.write("config.json", "{}");
  EXPECT_THAT(error_of<FormatError>([&] {
                convert(Checkpoint(folder.path()), other / "x", {.quantize = Quantization{}});
              }),
              AllOf(HasSubstr("two tensors would be"), HasSubstr("l.biases")));
  const PlannedTensor planned{"a", {DType::s32, {}}, [] { return Tensor(1); }};
  EXPECT_THAT(error_of<FormatError>([&] {
                write_weights(folder.path(), {planned, planned}, 2);
              }),
              HasSubstr("\"a\" stands twice"));
}

TEST(Convert, NamesTheModelAndTheTensorThatAnOpRefuses) {
  const TempFolder folder, other;
  save_safetensors(folder / "model.safetensors",
                   {{"model.layers.0.mlp.up_proj.weight", constant(1, DType::u32, {4, 8})},
                    {"model.layers.0.mlp.up_proj.scales", constant(1, DType::f16, {4, 2})},
                    {"model.layers.0.mlp.up_proj.biases", constant(1, DType::f16, {3})}});
  folder.write("config.json",
               R"({"model_type": "llama", "quantization": {"bits": 4, "group_size": 32}})");
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(
      error_of<FormatError>([&] { convert(checkpoint, other / "x", {.dequantize = true}); }),
      AllOf(HasSubstr(folder.path().string()), HasSubstr("up_proj.weight")));
  EXPECT_THAT(error_of<FormatError>([&] { convert_to_gguf(checkpoint, other / "x.gguf"); }),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("blk.0.ffn_up.weight")));
  EXPECT_EQ(other.count(), 0);
}

TEST(Convert, NamesFilesWhoseNamesOccurInErrorsAnyway) {
  const auto told = [](const std::string& text, const char* path) {
    return error_of<FormatError>(
        [&] { files::naming_file("op", path, [&] { throw FormatError(text); }); });
  };
  EXPECT_EQ(told("tensor \"model.norm\": bad", "model"), "[op] model: tensor \"model.norm\": bad");
  EXPECT_EQ(told("[config] model/config.json: bad", "model"), "[config] model/config.json: bad");
  EXPECT_EQ(told("[config] models: bad", "model"), "[op] model: [config] models: bad");
  EXPECT_EQ(
      error_of<FormatError>([] { files::naming_tensor("a", [] { throw ArgumentError("axes"); }); }),
      "tensor \"a\": axes");
}

TEST(Convert, LooksAtThePlaceFirstAndLeavesNothingThere) {
  const TempFolder folder, other;
  write_model(folder);
  const Checkpoint checkpoint(folder.path());
  const auto told = [&](const fs::path& place) {
    return error_of<ArgumentError>([&] { convert(checkpoint, place); });
  };
  EXPECT_THAT(told(""), HasSubstr("no name"));
  fs::create_symlink("nowhere", other / "link");
  EXPECT_THAT(told(other / "link"), HasSubstr("exists"));
  EXPECT_THAT(error_of<ArgumentError>([&] { convert_to_gguf(checkpoint, other / "link"); }),
              HasSubstr("exists"));
  convert(checkpoint, other / "new/.");
  EXPECT_TRUE(fs::exists(other / "new/config.json"));
  const auto stop = [](std::uint64_t, std::uint64_t) { return false; };
  EXPECT_THROW(convert(checkpoint, other / "a/b/c", {.write = {.progress = stop}}),
               InterruptedError);
  EXPECT_FALSE(fs::exists(other / "a"));
  EXPECT_EQ(other.count(), 2);
}

TEST(Convert, TakesNoAdapterForAModel) {
  const TempFolder folder, other;
  save_safetensors(folder / "adapters.safetensors", {{"l.lora_a", random_matrix(1, {8, 4})}});
  folder.write("adapter_config.json", "{}");
  EXPECT_THAT(error_of<ArgumentError>([&] { convert(Checkpoint(folder.path()), other / "x"); }),
              HasSubstr("is an adapter"));
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
