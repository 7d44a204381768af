// Checkpoints: folders and files as one thing, and the forms of weights that others write.
#include "mlxnx/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxnx/convert.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TempFolder;
using Tensors = std::map<std::string, Tensor>;

constexpr std::int64_t kInputs = 64, kOutputs = 16, kGroup = 32;

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) names.push_back(tensor.name);
  return names;
}

Tensor weights_of(const Checkpoint& checkpoint, const std::string& layer) {
  return dequantize(checkpoint.read_quantized(layer).value(), DType::f32);
}

// The numbers 0 to 15 of a matrix [inputs, outputs], by their place.
int number(std::int64_t input, std::int64_t output) {
  return static_cast<int>((7 * input + 3 * output + input * output / 5) % 16);
}
int zero(std::int64_t group, std::int64_t output) {
  return static_cast<int>((5 * group + output) % 14);
}
float scale(std::int64_t group, std::int64_t output) {
  return 0.125f * static_cast<float>(1 + (group + output) % 5);
}

Tensor matrix(std::int64_t rows, std::int64_t columns,
              const std::function<double(std::int64_t, std::int64_t)>& at, DType type) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) values.push_back(at(i, j));
  }
  return as_type(Tensor::from_span(std::span<const double>(values), {rows, columns}), type);
}

// Eight numbers in a word, the i-th at nibble `order[i]`.
std::int32_t packed(const std::function<int(int)>& at, const std::vector<int>& order) {
  std::uint32_t word = 0;
  for (int i = 0; i < 8; ++i)
    word |= static_cast<std::uint32_t>(at(i)) << 4 * order[static_cast<std::size_t>(i)];
  return static_cast<std::int32_t>(word);
}

Tensor packed_matrix(std::int64_t rows, std::int64_t columns,
                     const std::function<std::int32_t(std::int64_t, std::int64_t)>& word) {
  std::vector<std::int32_t> words;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) words.push_back(word(i, j));
  }
  return Tensor::from_span(std::span<const std::int32_t>(words), {rows, columns});
}

Tensor expected_weights(double zero_offset, bool has_zeros) {
  return matrix(
      kOutputs, kInputs,
      [&](std::int64_t output, std::int64_t input) {
        const double point = has_zeros ? zero(input / kGroup, output) + zero_offset : 8;
        return (number(input, output) - point) * scale(input / kGroup, output);
      },
      DType::f32);
}

const std::vector<int> kAwq = {0, 4, 1, 5, 2, 6, 3, 7}, kPlain = {0, 1, 2, 3, 4, 5, 6, 7};

Tensor scales_f16() { return matrix(kInputs / kGroup, kOutputs, scale, DType::f16); }

void write_model(const TempFolder& folder, const std::string& config, const Tensors& tensors) {
  folder.write("config.json", config);
  save_safetensors(folder / "model.safetensors", tensors);
}

void expect_equal(const Tensor& given, const Tensor& expected) {
  ASSERT_EQ(to_string(given.type()), to_string(expected.type()));
  EXPECT_EQ(given.to_bytes(), expected.to_bytes());
}

TEST(Checkpoint, ReadsShardsThatAnIndexNamesOrNot) {
  const TempFolder folder;
  save_safetensors(folder / "model-00001-of-00002.safetensors", {{"a", tensor({1})}});
  save_safetensors(folder / "model-00002-of-00002.safetensors", {{"b", tensor({2})}});
  const Checkpoint without(folder.path());
  EXPECT_THAT(names_of(without), ElementsAre("a", "b"));
  folder.write("model.safetensors.index.json",
               R"({"weight_map": {"a": "model-00001-of-00002.safetensors",
                                  "c": "other.safetensors"}})");
  save_safetensors(folder / "other.safetensors", {{"c", tensor({3})}, {"d", tensor({4})}});
  const Checkpoint checkpoint(folder.path());
  EXPECT_EQ(checkpoint.format(), "folder");
  EXPECT_THAT(names_of(checkpoint), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(checkpoint.read("c").to_vector<std::int32_t>(), std::vector{3});
  EXPECT_THAT(error_of<ArgumentError>([&] { checkpoint.read("aa"); }),
              HasSubstr("nearest is \"a\""));
}

TEST(Checkpoint, ToldByTheIndexWhichOfTwoItMeans) {
  const TempFolder folder;
  save_safetensors(folder / "model-1.safetensors", {{"a", tensor({1})}});
  save_safetensors(folder / "model-2.safetensors", {{"a", tensor({2})}});
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              AllOf(HasSubstr("model-1"), HasSubstr("model-2"), HasSubstr("\"a\"")));
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "model-2.safetensors"}})");
  EXPECT_EQ(Checkpoint(folder.path()).read("a").to_vector<std::int32_t>(), std::vector{2});
}

TEST(Checkpoint, KeepsNamesOfFilesInsideTheFolder) {
  const TempFolder folder;
  save_safetensors(folder / "model.safetensors", {{"a", tensor({1})}});
  for (const char* name :
       {"../model.safetensors", "/etc/model.safetensors", "x\\\\y.safetensors", "..", "",
        "sub/model.safetensors", "model\\u0000.safetensors", "weights.bin"}) {
    folder.write("model.safetensors.index.json",
                 std::string(R"({"weight_map": {"a": ")") + name + "\"}}");
    EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
                AllOf(HasSubstr("index.json"), HasSubstr("no name of a .safetensors file")))
        << name;
  }
}

TEST(Checkpoint, SaysWhatAFolderLacks) {
  const TempFolder folder;
  const auto told = [&] { return error_of<ArgumentError>([&] { Checkpoint(folder.path()); }); };
  EXPECT_THAT(told(), HasSubstr("holds no model*.safetensors"));
  folder.write("pytorch_model.bin", "");
  EXPECT_THAT(told(), HasSubstr("pickles"));
  save_safetensors(folder / "model.safetensors", {{"a", tensor({1})}});
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "model-2.safetensors"}})");
  EXPECT_THAT(told(), AllOf(HasSubstr("model-2.safetensors is missing"), HasSubstr("not whole")));
  folder.write("model.safetensors.index.json", R"({"weight_map": {"b": "model.safetensors"}})");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("and it is not"));
  EXPECT_THAT(error_of<ArgumentError>([&] { Checkpoint(folder / "none"); }),
              HasSubstr("No such file"));
}

TEST(Checkpoint, TakesTheEndOfTextFromTheSettingsOfGeneration) {
  const TempFolder folder;
  write_model(folder, R"({"eos_token_id": 1, "hidden_size": 8, "other": {"kept": [1, 2]}})", {});
  EXPECT_EQ(Checkpoint(folder.path()).config().get<std::int64_t>("eos_token_id"), 1);
  folder.write("generation_config.json", R"({"eos_token_id": [2, 3], "temperature": 0.5})");
  const Config config = Checkpoint(folder.path()).config();
  EXPECT_THAT(config.get<std::vector<std::int64_t>>("eos_token_id"), ElementsAre(2, 3));
  EXPECT_THAT(config.get<Config>("other").get<std::vector<std::int64_t>>("kept"),
              ElementsAre(1, 2));
  EXPECT_FALSE(config.contains("temperature"));
}

TEST(Checkpoint, FindsTheChatTemplate) {
  const TempFolder folder;
  write_model(folder, "{}", {});
  EXPECT_FALSE(Checkpoint(folder.path()).chat_template());
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                     {"name": "default", "template": "d"}]})");
  EXPECT_EQ(Checkpoint(folder.path()).chat_template(), "d");
  folder.write("tokenizer_config.json", R"({"chat_template": "c"})");
  EXPECT_EQ(Checkpoint(folder.path()).chat_template(), "c");
  folder.write("chat_template.jinja", "j");
  EXPECT_EQ(Checkpoint(folder.path()).chat_template(), "j");
}

TEST(Checkpoint, HasTheTokenizerOfItsFolder) {
  const TempFolder folder;
  write_model(folder, "{}", {});
  EXPECT_THAT(error_of<ArgumentError>([&] { Checkpoint(folder.path()).tokenizer(); }),
              HasSubstr("holds no tokenizer"));
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
                                     "merges": [["a", "b"]]}})");
  if (!has_text()) {
    EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder.path()).tokenizer(); }),
                HasSubstr("cargo"));
    return;
  }
  const Tokenizer tokenizer = Checkpoint(folder.path()).tokenizer();
  EXPECT_THAT(tokenizer.encode("aba"), ElementsAre(2u, 0u));
  EXPECT_THAT(Tokenizer::from_json(tokenizer.to_json()).encode("aba"), ElementsAre(2u, 0u));
}

TEST(Checkpoint, TellsHowALayerIsQuantized) {
  const TempFolder folder;
  const Tensor dense = random::normal(as_type(tensor({0, 1}), DType::u32), {4, 128});
  Tensors tensors;
  std::string settings;
  const auto add = [&](const std::string& layer, const Quantization& form) {
    const Quantized packed = quantize(dense, form);
    tensors.emplace(layer + ".weight", packed.weight);
    tensors.emplace(layer + ".scales", packed.scales);
    if (packed.biases) tensors.emplace(layer + ".biases", *packed.biases);
  };
  using enum QuantizationMode;
  add("usual", {.bits = 4, .group_size = 64});
  add("own", {.bits = 6, .group_size = 32});
  add("nvfp4", {.mode = kNvfp4});
  add("mxfp4", {.mode = kMxfp4});
  add("mxfp8", {.mode = kMxfp8});
  write_model(folder, R"({"quantization": {"bits": 4, "group_size": 64,
                          "own": {"bits": 6, "group_size": 32}, "usual": false}})",
              tensors);
  const Checkpoint checkpoint(folder.path());
  const auto form = [&](const char* layer) { return checkpoint.quantization(layer).value(); };
  EXPECT_EQ(form("usual"), (Quantization{.bits = 4, .group_size = 64}));
  EXPECT_EQ(form("own"), (Quantization{.bits = 6, .group_size = 32}));
  EXPECT_EQ(form("nvfp4"), (Quantization{.mode = kNvfp4, .bits = 4, .group_size = 16}));
  EXPECT_EQ(form("mxfp4"), (Quantization{.mode = kMxfp4, .bits = 4, .group_size = 32}));
  EXPECT_EQ(form("mxfp8"), (Quantization{.mode = kMxfp8, .bits = 8, .group_size = 32}));
  EXPECT_FALSE(checkpoint.quantization("none"));
  // Four bits in groups of 64 look like eight in groups of 32.
  folder.write("config.json", "{}");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()).quantization("usual"); }),
              HasSubstr("no settings say which"));
  // Settings of all layers give the group, and the shape the bits.
  folder.write("config.json", R"({"quantization": {"bits": 5, "group_size": 64}})");
  EXPECT_EQ(*Checkpoint(folder.path()).quantization("usual"),
            (Quantization{.bits = 4, .group_size = 64}));
  EXPECT_EQ(*Checkpoint(folder.path()).quantization("own"),
            (Quantization{.bits = 3, .group_size = 64}));
  folder.write("config.json", R"({"quantization": {"usual": {"bits": 5, "group_size": 64}}})");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()).quantization("usual"); }),
              HasSubstr("5 bits in groups of 64"));
}

TEST(Checkpoint, RepacksAwq) {
  const TempFolder folder;
  const auto words = [&](std::int64_t rows, auto at) {
    return packed_matrix(rows, kOutputs / 8, [&](std::int64_t row, std::int64_t column) {
      return packed([&](int i) { return at(row, column * 8 + i); }, kAwq);
    });
  };
  const std::string config =
      R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32}})";
  Tensors tensors{{"l.qweight", words(kInputs, number)},
                  {"l.qzeros", words(kInputs / kGroup, zero)},
                  {"l.scales", scales_f16()},
                  {"l.bias", constant(0.5, DType::f32, {kOutputs})}};
  write_model(folder, config, tensors);
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(names_of(checkpoint), ElementsAre("l.bias", "l.biases", "l.scales", "l.weight"));
  expect_equal(weights_of(checkpoint, "l"), expected_weights(0, true));
  for (const CheckpointTensor& tensor : checkpoint.tensors())
    EXPECT_EQ(to_string(checkpoint.read(tensor.name).type()), to_string(tensor.type));
  EXPECT_EQ(checkpoint.read("l.bias").dtype(), DType::f16);
  EXPECT_EQ(checkpoint.config().get<Config>("quantization").get<std::string>("mode"), "affine");
  tensors.erase("l.qzeros");
  write_model(folder, config, tensors);
  expect_equal(weights_of(Checkpoint(folder.path()), "l"), expected_weights(0, false));
}

TEST(Checkpoint, RepacksGptqThatPacksAlongTheInputs) {
  const TempFolder folder;
  const Tensor words =
      packed_matrix(kInputs / 8, kOutputs, [&](std::int64_t row, std::int64_t column) {
        return packed([&](int i) { return number(row * 8 + i, column); }, kPlain);
      });
  const Tensor zeros =
      packed_matrix(kInputs / kGroup, kOutputs / 8, [&](std::int64_t row, std::int64_t column) {
        return packed([&](int i) { return zero(row, column * 8 + i); }, kPlain);
      });
  const auto config = [](const char* format) {
    return std::string(R"({"quantization_config": {"quant_method": "gptq", "bits": 4,
                           "group_size": 32, "checkpoint_format": ")") +
           format + "\"}}";
  };
  Tensors tensors{{"l.qweight", words},
                  {"l.qzeros", zeros},
                  {"l.scales", scales_f16()},
                  {"l.g_idx", quotient(iota({kInputs}), 32)}};
  write_model(folder, config("gptq"), tensors);
  expect_equal(weights_of(Checkpoint(folder.path()), "l"), expected_weights(1, true));
  write_model(folder, config("gptq_v2"), tensors);
  expect_equal(weights_of(Checkpoint(folder.path()), "l"), expected_weights(0, true));
  tensors.insert_or_assign("l.g_idx", remainder(iota({kInputs}), 2));
  write_model(folder, config("gptq"), tensors);
  EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder.path()); }),
              AllOf(HasSubstr("l.g_idx"), HasSubstr("desc_act")));
}

TEST(Checkpoint, RefusesWordsOfOtherShapes) {
  const TempFolder folder;
  const std::string config =
      R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32}})";
  const Tensor words = as_type(iota({kInputs, kOutputs / 8}), DType::s32);
  write_model(folder, config, {{"l.qweight", words}});
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("l.qweight stands there without l.scales"));
  write_model(folder, config, {{"l.qweight", transpose(words)}, {"l.scales", scales_f16()}});
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("l.qweight (s32[2][64]) should have the shape {64, 2}"));
  folder.write("config.json", R"({"quantization_config": {"quant_method": "awq", "bits": 8}})");
  EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("8 bits are not supported"));
  folder.write("config.json", R"({"quantization_config": {"quant_method": "quip"}})");
  EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder.path()); }),
              AllOf(HasSubstr("\"quip\""), HasSubstr(folder.path().string())));
}

// Floats of 8 bits in a .safetensors file, which this library does not write itself.
void write_f8(const fs::path& path, const std::string& name, const Tensor& elements,
              const std::string& rest_header, const std::vector<std::byte>& rest) {
  const std::vector<std::byte> bytes = elements.to_bytes();
  std::string header = "{\"" + name + R"(": {"dtype": "F8_E4M3", "shape": [)" +
                       std::to_string(elements.shape()[0]) + "," +
                       std::to_string(elements.shape()[1]) + R"(], "data_offsets": [0,)" +
                       std::to_string(bytes.size()) + "]}" + rest_header + "}";
  const std::uint64_t length = header.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), 8);
  file << header;
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.write(reinterpret_cast<const char*>(rest.data()), static_cast<std::streamsize>(rest.size()));
}

TEST(Checkpoint, RefusesWordsOfOtherSizes) {
  const TempFolder folder;
  const std::string config =
      R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32}})";
  const Tensor words = iota({kInputs, kOutputs / 8}),
               zeros = iota({kInputs / kGroup, kOutputs / 8});
  for (const DType type : {DType::s64, DType::s16, DType::u8, DType::f32}) {
    write_model(folder, config, {{"l.qweight", as_type(words, type)}, {"l.scales", scales_f16()}});
    EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }), HasSubstr("l.qweight"))
        << name(type);
    write_model(folder, config,
                {{"l.qweight", as_type(words, DType::s32)},
                 {"l.qzeros", as_type(zeros, type)},
                 {"l.scales", scales_f16()}});
    EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }), HasSubstr("l.qzeros"))
        << name(type);
  }
  for (const char* group : {"-1", "0", "48", "4611686018427387904"}) {
    folder.write("config.json", std::string(R"({"quantization_config": {"quant_method": "gptq",
                                               "group_size": )") +
                                    group + "}}");
    EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder.path()); }),
                HasSubstr(std::string("groups of ") + group));
  }
  folder.write("config.json", R"({"quantization_config": {"quant_method": "fp8",
                                  "weight_block_size": [9223372036854775807, 1]}})");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("weight_block_size"));
}

TEST(Checkpoint, ReadsWhatIsNoModelsTextsOnlyWhenAsked) {
  const TempFolder folder;
  write_model(folder, "{}", {});
  folder.write("tokenizer_config.json", "{");
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(error_of<FormatError>([&] { checkpoint.chat_template(); }),
              HasSubstr("tokenizer_config.json"));
  EXPECT_FALSE(Checkpoint(folder / "model.safetensors").chat_template());
}

TEST(Checkpoint, ScalesBlocksOfFloatsOfEightBits) {
  const TempFolder folder;
  const Tensor elements = remainder(as_type(iota({6, 8}), DType::u8) * 5, 120);
  const Tensor scales = tensor({{1.0, 2.0}, {0.5, 4.0}});
  folder.write("config.json", R"({"quantization_config": {"quant_method": "fp8",
                                  "weight_block_size": [4, 5]}})");
  write_f8(folder / "model.safetensors", "l.weight", elements,
           R"(, "l.weight_scale_inv": {"dtype": "F32", "shape": [2, 2], "data_offsets": [48, 64]})",
           scales.to_bytes());
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(names_of(checkpoint), ElementsAre("l.weight"));
  EXPECT_FALSE(checkpoint.config().contains("quantization_config")) << "they are dense now";
  const Tensor blocks = matrix(
      6, 8,
      [](std::int64_t i, std::int64_t j) {
        constexpr double kScales[2][2] = {{1.0, 2.0}, {0.5, 4.0}};
        return kScales[i / 4][j / 5];
      },
      DType::f32);
  expect_equal(checkpoint.read("l.weight"),
               as_type(from_fp8(elements, DType::f32) * blocks, DType::bf16));
  folder.write("config.json", R"({"quantization_config": {"quant_method": "fp8"}})");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              HasSubstr("in blocks of 128 by 128"));
}

TEST(Checkpoint, TakesBytesForExponentsOfScalesWhereTheSettingsSaySo) {
  const TempFolder folder;
  const Tensor elements = remainder(as_type(iota({4, 8}), DType::u8) * 5, 120);
  const auto write = [&](const char* more) {
    folder.write("config.json", std::string(R"({"quantization_config": {"quant_method": "fp8",
                                 "weight_block_size": [4, 4])") +
                                    more + "}}");
    write_f8(
        folder / "model.safetensors", "l.weight", elements,
        R"(, "l.weight_scale_inv": {"dtype": "U8", "shape": [1, 2], "data_offsets": [32, 34]})",
        as_type(tensor({124, 129}), DType::u8).to_bytes());
  };
  write(R"(, "scale_fmt": "ue8m0")");
  const Tensor scales = tensor({0.125, 0.125, 0.125, 0.125, 4.0, 4.0, 4.0, 4.0});
  expect_equal(Checkpoint(folder.path()).read("l.weight"),
               as_type(from_fp8(elements, DType::f32) * as_type(scales, DType::f32), DType::bf16));
  write("");
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }), HasSubstr("ue8m0"));
}

TEST(Checkpoint, TakesIntegersOfCompressedTensors) {
  const TempFolder folder;
  const Tensor words = packed_matrix(kOutputs, kInputs / 8, [](std::int64_t row, std::int64_t at) {
    return packed([&](int i) { return number(at * 8 + i, row); }, kPlain);
  });
  write_model(folder, R"({"quantization_config": {"quant_method": "compressed-tensors",
      "format": "pack-quantized", "config_groups": {"group_0": {"weights":
      {"num_bits": 4, "group_size": 32, "symmetric": true}}}}})",
              {{"l.weight_packed", words},
               {"l.weight_scale", transpose(scales_f16())},
               {"l.weight_shape", tensor({kOutputs, kInputs})}});
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(names_of(checkpoint), ElementsAre("l.biases", "l.scales", "l.weight"));
  expect_equal(weights_of(checkpoint, "l"), expected_weights(0, false));
}

TEST(Checkpoint, RefusesPartsOfQuantizedLayersThatItDoesNotKnow) {
  const TempFolder folder;
  const auto config = [](const std::string& more) {
    return R"({"quantization_config": {"quant_method": "compressed-tensors",
        "format": "pack-quantized", "config_groups": {"group_0": {"weights":
        {"num_bits": 4, "group_size": 32, "symmetric": true}}})" +
           more + "}}";
  };
  Tensors tensors{
      {"l.weight_packed", constant(1, DType::s32, {kOutputs, kInputs / 8})},
      {"l.weight_scale", transpose(scales_f16())},
      {"l.weight_g_idx", quotient(iota({kInputs}), 32)},
  };
  const auto told = [&] { return error_of<UnsupportedError>([&] { Checkpoint(folder.path()); }); };
  write_model(folder, config(R"(, "transform_config": {})"), tensors);
  EXPECT_THAT(names_of(Checkpoint(folder.path())), ElementsAre("l.biases", "l.scales", "l.weight"));
  write_model(folder, config(R"(, "transform_config": {"config_groups": {"u": {}}})"), tensors);
  EXPECT_THAT(told(), AllOf(HasSubstr("transform_config"), HasSubstr(folder.path().string())));
  tensors.insert_or_assign("l.weight_g_idx", remainder(iota({kInputs}), 2));
  write_model(folder, config(""), tensors);
  EXPECT_THAT(told(), AllOf(HasSubstr("l.weight_g_idx"), HasSubstr("actorder")));
  tensors.erase("l.weight_g_idx");
  const auto contradiction = [&] {
    return error_of<FormatError>([&] { Checkpoint(folder.path()); });
  };
  tensors.emplace("l.weight_shape", tensor({kOutputs, kInputs - 1}));
  write_model(folder, config(""), tensors);
  EXPECT_THAT(contradiction(), HasSubstr("l.weight_shape is {16, 63}"));
  tensors.erase("l.weight_shape");
  std::string other_groups = config("");
  other_groups.replace(other_groups.find("\"group_size\": 32"), 16, "\"group_size\": 64");
  write_model(folder, other_groups, tensors);
  EXPECT_THAT(contradiction(), HasSubstr("scales of groups of 32, and those of others are of 64"));
  tensors.emplace("l.weight_zero_point", constant(1, DType::s32, {kOutputs / 8, 2}));
  write_model(folder, config(""), tensors);
  EXPECT_THAT(told(), HasSubstr("l.weight_zero_point"));
  write_model(folder, R"({"quantization_config": {"quant_method": "awq", "group_size": 32}})",
              {{"l.qweight", constant(1, DType::s32, {kInputs, kOutputs / 8})},
               {"l.scales", scales_f16()},
               {"l.rotation", scales_f16()}});
  EXPECT_THAT(told(), HasSubstr("l.rotation"));
}

TEST(Checkpoint, TakesFloatsOfFourBitsWithAScaleOfTheWhole) {
  const TempFolder folder;
  const Tensor dense = random::normal(as_type(tensor({0, 1}), DType::u32), {4, 32});
  const Quantized packed = quantize(dense, {.mode = QuantizationMode::kNvfp4});
  const std::vector<std::byte> words = packed.weight.to_bytes();
  const Tensor bytes = Tensor::from_bytes(words, {DType::u8, {4, 16}});
  folder.write("config.json", R"({"quantization_config": {"quant_method": "compressed-tensors",
                                  "format": "nvfp4-pack-quantized"}})");
  std::vector<std::byte> rest = words;
  const Tensor divisor = tensor({2.0});
  const std::vector<std::byte> divisor_bytes = divisor.to_bytes();
  rest.insert(rest.end(), divisor_bytes.begin(), divisor_bytes.end());
  write_f8(folder / "model.safetensors", "l.weight_scale", packed.scales,
           R"(, "l.weight_packed": {"dtype": "U8", "shape": [4, 16], "data_offsets": [8, 72]},
               "l.weight_global_scale": {"dtype": "F32", "shape": [1], "data_offsets": [72, 76]})",
           rest);
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(names_of(checkpoint), ElementsAre("l.global_scale", "l.scales", "l.weight"));
  expect_equal(checkpoint.read("l.weight"), packed.weight);
  expect_equal(checkpoint.read("l.scales"), packed.scales);
  const Tensor halved = dequantize(packed, DType::f32) / 2.0;
  EXPECT_TRUE(all_close(weights_of(checkpoint, "l"), halved).item<bool>());
}

// Of modelopt, whose settings are nested where they stand in a file of their own.
void write_modelopt(const TempFolder& folder, const Tensor& words, const Tensor& scales,
                    float whole) {
  const Tensor bytes = Tensor::from_bytes(words.to_bytes(), {DType::u8, {4, 16}});
  const std::vector<std::byte> whole_bytes = tensor({whole}).to_bytes();
  std::vector<std::byte> rest = bytes.to_bytes();
  rest.insert(rest.end(), whole_bytes.begin(), whole_bytes.end());
  write_f8(folder / "model.safetensors", "l.weight_scale", scales,
           R"(, "l.weight": {"dtype": "U8", "shape": [4, 16], "data_offsets": [8, 72]},
               "l.weight_scale_2": {"dtype": "F32", "shape": [1], "data_offsets": [72, 76]})",
           rest);
}

TEST(Checkpoint, ReadsTheSettingsOfModeloptWhereverTheyStand) {
  const TempFolder folder, other;
  const Tensor dense = random::normal(as_type(tensor({0, 1}), DType::u32), {4, 32});
  const Quantized packed = quantize(dense, {.mode = QuantizationMode::kNvfp4});
  write_modelopt(folder, packed.weight, packed.scales, 0.5f);
  const std::string nested = R"({"quantization": {"quant_algo": "NVFP4", "group_size": 16}})";
  folder.write("config.json", R"({"quantization_config": {"quant_method": "modelopt",
                                  "quantization": {"quant_algo": "NVFP4"}}})");
  const Tensor halved = dequantize(packed, DType::f32) / 2.0;
  EXPECT_TRUE(all_close(weights_of(Checkpoint(folder.path()), "l"), halved).item<bool>());
  folder.write("config.json", "{}");
  folder.write("hf_quant_config.json", nested);
  const Checkpoint checkpoint(folder.path());
  EXPECT_TRUE(all_close(weights_of(checkpoint, "l"), halved).item<bool>());
  // mlx-lm's linear layers have scales of groups only.
  convert(checkpoint, other / "folded");
  EXPECT_THAT(names_of(Checkpoint(other / "folded")), ElementsAre("l.scales", "l.weight"));
  expect_equal(weights_of(Checkpoint(other / "folded"), "l"), halved);
  EXPECT_FALSE(fs::exists(other / "folded/hf_quant_config.json"));
  write_modelopt(folder, packed.weight, packed.scales, 0.3f);
  EXPECT_THAT(
      error_of<UnsupportedError>([&] { convert(Checkpoint(folder.path()), other / "inexact"); }),
      AllOf(HasSubstr("\"l\""), HasSubstr("--dequantize")));
  convert(Checkpoint(folder.path()), other / "dense", {.dequantize = true});
  EXPECT_THAT(names_of(Checkpoint(other / "dense")), ElementsAre("l.weight"));
}

TEST(Checkpoint, NamesWhatCantBeLookedAt) {
  const TempFolder folder;
  fs::create_symlink("circle", folder / "circle");
  EXPECT_THAT(error_of<FileError>([&] { Checkpoint(folder / "circle"); }),
              AllOf(HasSubstr((folder / "circle").string()), HasSubstr("symbolic links")));
  write_model(folder, R"({"quantization_config": 5})", {});
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder.path()); }),
              AllOf(HasSubstr("config.json: \"quantization_config\" is 5"),
                    HasSubstr((folder / "config.json").string())));
}

TEST(Checkpoint, LoadsTheRecordedModels) {
  const fs::path golden = fs::path(MLXNX_SHARED_DIR) / "golden/llm";
  if (!fs::is_directory(golden)) GTEST_SKIP() << "there are no recorded models here";
  std::size_t folders = 0;
  for (const auto& folder : fs::directory_iterator(golden)) {
    if (!fs::exists(folder.path() / "config.json")) continue;
    SCOPED_TRACE(folder.path().filename().string());
    const Checkpoint checkpoint(folder.path());
    for (const CheckpointTensor& tensor : checkpoint.tensors()) {
      const Tensor read = checkpoint.read(tensor.name);
      eval(read);
      EXPECT_EQ(to_string(read.type()), to_string(tensor.type)) << tensor.name;
      if (tensor.name.ends_with(".scales")) {
        const std::string layer = tensor.name.substr(0, tensor.name.size() - 7);
        EXPECT_TRUE(checkpoint.quantization(layer)) << layer;
        EXPECT_TRUE(is_float(weights_of(checkpoint, layer).dtype()));
      }
    }
    ++folders;
  }
  EXPECT_GT(folders, 90u);
}

}  // namespace
}  // namespace mlxnx
