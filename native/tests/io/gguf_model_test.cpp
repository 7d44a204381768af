// GGUF files as checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "error_of.h"
#include "files/atomic_file.h"
#include "files/blocks.h"
#include "files/gguf_writer.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/convert.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using files::StoredTensor;
using files::StoredType;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TempFolder;

constexpr std::int64_t kHeads = 4, kHeadsKv = 2, kHeadDim = 8, kHidden = 32;

Tensor random_matrix(std::int64_t seed, Shape shape) {
  return random::normal(as_type(tensor({0, seed}), DType::u32), shape);
}

struct Given {
  Given(std::string name, StoredType type, Tensor elements)
      : name(std::move(name)), type(type), elements(elements), shape(elements.shape()) {}
  /// As they are stored.
  Given(std::string name, StoredType type, std::string bytes, Shape shape)
      : name(std::move(name)), type(type), bytes(std::move(bytes)), shape(std::move(shape)) {}

  std::string name;
  StoredType type;
  Tensor elements;
  std::string bytes;
  Shape shape;
};

std::vector<std::byte> stored(const Given& tensor) {
  if (!tensor.bytes.empty()) {
    const auto bytes = std::as_bytes(std::span(tensor.bytes));
    return {bytes.begin(), bytes.end()};
  }
  const std::vector<std::byte> bytes = tensor.elements.to_bytes();
  if (!files::is_block_type(tensor.type)) return bytes;
  const std::vector<float> elements = tensor.elements.to_vector<float>();
  std::vector<std::byte> blocks(files::stored_bytes(tensor.type, tensor.elements.shape()));
  files::encode_blocks(tensor.type, elements, blocks);
  return blocks;
}

void write(const std::filesystem::path& path, const std::string& architecture,
           const std::vector<Given>& tensors, std::vector<files::GgufEntry> more = {},
           const std::vector<std::string>& tokens = {"a", "b", "c"}) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  std::vector<files::GgufEntry> metadata = {
      {"general.architecture", architecture},
      {key("block_count"), std::uint32_t{1}},
      {key("embedding_length"), static_cast<std::uint32_t>(kHidden)},
      {key("attention.head_count"), static_cast<std::uint32_t>(kHeads)},
      {key("attention.head_count_kv"), static_cast<std::uint32_t>(kHeadsKv)},
      {key("attention.layer_norm_rms_epsilon"), 1e-5f},
      {key("rope.freq_base"), 10000.0f},
      {"tokenizer.ggml.tokens", tokens},
      {"tokenizer.ggml.eos_token_id", std::uint32_t{2}},
      {"tokenizer.chat_template", std::string("{{ messages }}")},
  };
  metadata.insert(metadata.end(), more.begin(), more.end());
  std::vector<StoredTensor> descriptions;
  for (const Given& tensor : tensors) {
    descriptions.push_back({.name = tensor.name, .type = tensor.type, .shape = tensor.shape});
  }
  files::AtomicFile file(path, "test");
  files::write_gguf(file, metadata, descriptions,
                    [&](std::size_t i, const files::GgufSink& sink) { sink(stored(tensors[i])); });
  file.commit();
}

Tensor weights_of(const Checkpoint& checkpoint, const std::string& layer) {
  return dequantize(checkpoint.read_quantized(layer).value(), DType::f32);
}

// As llama.cpp's converter turns the rows of a head's halves.
Tensor with_heads_interleaved(const Tensor& rows, std::int64_t heads) {
  const std::int64_t half = rows.shape()[0] / heads / 2, columns = rows.shape()[1];
  return reshape(transpose(reshape(rows, {heads, 2, half, columns}), {.axes = Axes{0, 2, 1, 3}}),
                 rows.shape());
}

TEST(GgufModel, HasTheSettingsAndNamesOfHuggingFace) {
  const TempFolder folder;
  const Tensor query = random_matrix(1, {kHeads * kHeadDim, kHidden});
  const Tensor key = random_matrix(2, {kHeadsKv * kHeadDim, kHidden});
  const Tensor norm = random_matrix(3, {kHidden});
  write(folder / "m.gguf", "llama",
        {{"token_embd.weight", StoredType::kQ8_0, random_matrix(4, {3, kHidden})},
         {"blk.0.attn_norm.weight", StoredType::kF32, norm},
         {"blk.0.attn_q.weight", StoredType::kF32, with_heads_interleaved(query, kHeads)},
         {"blk.0.attn_k.weight", StoredType::kF16,
          as_type(with_heads_interleaved(key, kHeadsKv), DType::f16)},
         {"blk.0.ffn_up.weight", StoredType::kQ4_1, random_matrix(5, {64, kHidden})},
         {"rope_freqs.weight", StoredType::kF32, constant(1.0, DType::f32, {kHeadDim / 2})}});
  const Checkpoint checkpoint(folder / "m.gguf");
  EXPECT_EQ(checkpoint.format(), "gguf");
  EXPECT_EQ(checkpoint.chat_template(), "{{ messages }}");
  const Config& config = checkpoint.config();
  EXPECT_EQ(config.get<std::string>("model_type"), "llama");
  EXPECT_EQ(config.get<std::int64_t>("hidden_size"), kHidden);
  EXPECT_EQ(config.get<std::int64_t>("num_key_value_heads"), kHeadsKv);
  EXPECT_EQ(config.get<std::int64_t>("head_dim"), kHeadDim);
  EXPECT_EQ(config.get<std::int64_t>("vocab_size"), 3);
  EXPECT_EQ(config.get<std::int64_t>("eos_token_id"), 2);
  EXPECT_FLOAT_EQ(static_cast<float>(config.get<double>("rms_norm_eps")), 1e-5f);
  EXPECT_TRUE(config.get<bool>("tie_word_embeddings"));
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) names.push_back(tensor.name);
  const std::string layer = "model.layers.0.";
  EXPECT_THAT(names, ElementsAre("model.embed_tokens.biases", "model.embed_tokens.scales",
                                 "model.embed_tokens.weight", layer + "input_layernorm.weight",
                                 layer + "mlp.up_proj.biases", layer + "mlp.up_proj.scales",
                                 layer + "mlp.up_proj.weight", layer + "self_attn.k_proj.weight",
                                 layer + "self_attn.q_proj.weight"));
  EXPECT_EQ(checkpoint.read(layer + "self_attn.q_proj.weight").to_bytes(), query.to_bytes());
  EXPECT_EQ(checkpoint.read(layer + "self_attn.k_proj.weight").to_bytes(),
            as_type(key, DType::f16).to_bytes());
}

TEST(GgufModel, GivesTheSettingsThatItsTensorsAndKeysSay) {
  const TempFolder folder;
  const Tensor norm = random_matrix(3, {kHidden});
  const auto config = [&](const char* architecture, const std::vector<Given>& tensors,
                          std::vector<files::GgufEntry> more = {}) {
    write(folder / "m.gguf", architecture, tensors, std::move(more));
    return Checkpoint(folder / "m.gguf").config();
  };
  // As llama 3 scales frequencies of base 10000 and heads of 8.
  const Config llama =
      config("llama", {{"rope_freqs.weight", StoredType::kF32, tensor({1.0, 1.0, 1.0, 8.0})},
                       {"blk.0.ffn_up.bias", StoredType::kF32, norm}});
  EXPECT_TRUE(llama.get<bool>("mlp_bias"));
  EXPECT_EQ(llama.get<Config>("rope_scaling").get<std::string>("rope_type"), "llama3");
  EXPECT_EQ(llama.get<Config>("rope_scaling").get<double>("factor"), 8);
  const Config moe = config("qwen3moe", {});
  EXPECT_EQ(moe.get<std::int64_t>("decoder_sparse_step"), 1);
  EXPECT_TRUE(moe.get<std::vector<std::int64_t>>("mlp_only_layers").empty());
  EXPECT_EQ(config("gemma2", {}).get<double>("query_pre_attn_scalar"), kHeadDim);
  EXPECT_EQ(config("gemma3", {}).get<std::int64_t>("sliding_window_pattern"), 6);
  const Config phi =
      config("phi3", {}, {{"phi3.rope.dimension_count", std::uint32_t{kHeadDim / 2}}});
  EXPECT_EQ(phi.get<double>("partial_rotary_factor"), 0.5);
  const Config yarn = config("llama", {},
                             {{"llama.rope.scaling.type", std::string("yarn")},
                              {"llama.rope.scaling.factor", 4.0f},
                              {"llama.rope.scaling.yarn_beta_fast", 16.0f}});
  EXPECT_EQ(yarn.get<Config>("rope_scaling").get<double>("beta_fast"), 16);
  EXPECT_FALSE(config("granite", {}).get<bool>("mlp_bias"));
}

TEST(GgufModel, HasWhatAQuantizedFolderWithBiasesHas) {
  const TempFolder folder;
  const Tensor query = random_matrix(1, {kHeads * kHeadDim, kHidden}),
               bias = random_matrix(2, {kHeads * kHeadDim}), head = random_matrix(3, {4, kHidden});
  const Quantized packed = quantize(query, {.bits = 4, .group_size = 32});
  save_safetensors(folder / "model.safetensors",
                   {{"model.layers.0.self_attn.q_proj.weight", packed.weight},
                    {"model.layers.0.self_attn.q_proj.scales", packed.scales},
                    {"model.layers.0.self_attn.q_proj.biases", *packed.biases},
                    {"model.layers.0.self_attn.q_proj.bias", bias},
                    {"model.layers.0.self_attn.rotary_emb.inv_freq", random_matrix(4, {4})},
                    {"model.embed_tokens.weight", head},
                    {"lm_head.weight", head}});
  folder.write("config.json", R"({"model_type": "llama", "hidden_size": 32, "head_dim": 8,
      "num_attention_heads": 4, "vocab_size": 1000000000000, "pad_token_id": -1,
      "eos_token_id": [], "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3",
      "factor": 8}, "quantization": {"bits": 4, "group_size": 32}})");
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
                                     "pre_tokenizer": {"type": "ByteLevel"}})");
  convert_to_gguf(Checkpoint(folder.path()), folder / "m.gguf", {.type = "f32"});
  const TensorFile file(folder / "m.gguf");
  EXPECT_EQ(file.read("blk.0.attn_q.bias").to_bytes(),
            reshape(with_heads_interleaved(reshape(bias, {kHeads * kHeadDim, 1}), kHeads),
                    {kHeads * kHeadDim})
                .to_bytes());
  EXPECT_EQ(file.find("output.weight"), nullptr);
  EXPECT_EQ(file.metadata().at("llama.vocab_size"), "4");
  EXPECT_FALSE(file.metadata().contains("tokenizer.ggml.padding_token_id"));
  EXPECT_FALSE(file.metadata().contains("tokenizer.ggml.eos_token_id"));
  EXPECT_EQ(file.read("rope_freqs.weight").shape(), (Shape{4}));
  const Config back = Checkpoint(folder / "m.gguf").config();
  EXPECT_EQ(back.get<Config>("rope_scaling").get<double>("factor"), 8);
}

TEST(GgufModel, KeepsTheNumbersOfBlocks) {
  const TempFolder folder;
  const std::vector<StoredType> types = {StoredType::kQ4_0, StoredType::kQ4_1, StoredType::kQ8_0};
  for (const StoredType type : types) {
    const Tensor query = random_matrix(1, {kHeads * kHeadDim, 64});
    write(folder / "m.gguf", "llama",
          {{"blk.0.attn_q.weight", type, with_heads_interleaved(query, kHeads)},
           {"blk.0.ffn_up.weight", type, random_matrix(5, {16, 64})}});
    const Checkpoint checkpoint(folder / "m.gguf");
    const TensorFile file(folder / "m.gguf");
    // ggml and MLX write zero by other signs.
    const auto plain = [](const Tensor& tensor) { return (tensor + 0.0).to_bytes(); };
    EXPECT_EQ(plain(weights_of(checkpoint, "model.layers.0.mlp.up_proj")),
              plain(file.read("blk.0.ffn_up.weight")))
        << files::row_of(type).name;
    EXPECT_EQ(plain(with_heads_interleaved(
                  weights_of(checkpoint, "model.layers.0.self_attn.q_proj"), kHeads)),
              plain(file.read("blk.0.attn_q.weight")));
  }
}

TEST(GgufModel, PacksBlocksWithoutAFormIntoEightBitsWhereAsked) {
  const TempFolder folder;
  // Scales that an f16 of its own would not hold: the least f16 times numbers of 7 and 6 bits.
  constexpr std::size_t kBlock = 210, kRows = 4;
  std::string blocks;
  for (std::size_t i = 0; i < kRows * kBlock; ++i) {
    const std::size_t at = i % kBlock;
    blocks += at < kBlock - 2 ? static_cast<char>(7 * i % 97) : at == kBlock - 2 ? '\1' : '\0';
  }
  write(folder / "m.gguf", "qwen3",
        {{"blk.0.ffn_up.weight", StoredType::kQ6_K, blocks, {kRows, 256}}});
  const Tensor exact = TensorFile(folder / "m.gguf").read("blk.0.ffn_up.weight");
  const Checkpoint dense(folder / "m.gguf");
  EXPECT_EQ(dense.read("model.layers.0.mlp.up_proj.weight").to_bytes(), exact.to_bytes());
  const Checkpoint packed(folder / "m.gguf", {.requantize = true});
  EXPECT_EQ(packed.quantization("model.layers.0.mlp.up_proj"),
            (Quantization{.bits = 8, .group_size = 32}));
  for (const CheckpointTensor& tensor : packed.tensors())
    EXPECT_EQ(to_string(packed.read(tensor.name).type()), to_string(tensor.type));
  const float most = reduce_max(abs(exact)).item<float>();
  const Tensor difference = abs(weights_of(packed, "model.layers.0.mlp.up_proj") - exact);
  EXPECT_GT(most, 0);
  EXPECT_LT(reduce_max(difference).item<float>(), most / 200);
}

TEST(GgufModel, TakesOneFromTheNormsOfGemma) {
  const TempFolder folder;
  const Tensor norm = as_type(iota({kHidden}), DType::f32);
  write(folder / "m.gguf", "gemma3",
        {{"blk.0.ffn_norm.weight", StoredType::kF32, norm + 1.0},
         {"blk.0.post_ffw_norm.weight", StoredType::kF32, norm + 1.0},
         {"output_norm.weight", StoredType::kF32, norm + 1.0}});
  const Checkpoint checkpoint(folder / "m.gguf");
  EXPECT_EQ(checkpoint.config().get<std::string>("model_type"), "gemma3_text");
  for (const char* name : {"model.layers.0.pre_feedforward_layernorm.weight",
                           "model.layers.0.post_feedforward_layernorm.weight", "model.norm.weight"})
    EXPECT_EQ(checkpoint.read(name).to_bytes(), norm.to_bytes()) << name;
}

TEST(GgufModel, SaysWhatItCantUse) {
  const TempFolder folder;
  write(folder / "m.gguf", "mystery",
        {{"token_embd.weight", StoredType::kF32, random_matrix(1, {3, 4})}});
  EXPECT_THAT(error_of<UnsupportedError>([&] { Checkpoint(folder / "m.gguf"); }),
              AllOf(HasSubstr("\"mystery\""), HasSubstr("qwen3"), HasSubstr("m.gguf")));
  EXPECT_EQ(TensorFile(folder / "m.gguf").read("token_embd.weight").shape(), (Shape{3, 4}));
  write(folder / "m.gguf", "llama",
        {{"blk.0.attn_q.weight", StoredType::kF32, random_matrix(1, {12, 4})}});
  EXPECT_THAT(error_of<FormatError>([&] { Checkpoint(folder / "m.gguf"); }),
              AllOf(HasSubstr("m.gguf"), HasSubstr("12 rows for 4 heads")));
}

TEST(GgufModel, ComesBackFromAFolderBitForBit) {
  const TempFolder folder;
  const std::vector<Given> tensors = {
      {"token_embd.weight", StoredType::kQ8_0, random_matrix(4, {3, kHidden})},
      {"blk.0.attn_norm.weight", StoredType::kF32, random_matrix(3, {kHidden})},
      {"blk.0.attn_q.weight", StoredType::kQ4_1, random_matrix(1, {kHeads * kHeadDim, kHidden})},
      {"blk.0.attn_k.weight", StoredType::kQ4_0, random_matrix(2, {kHeadsKv * kHeadDim, kHidden})},
      {"blk.0.attn_v.weight", StoredType::kF16,
       as_type(random_matrix(7, {16, kHidden}), DType::f16)},
      {"blk.0.ffn_up.weight", StoredType::kBF16,
       as_type(random_matrix(5, {64, kHidden}), DType::bf16)}};
  write(folder / "m.gguf", "llama", tensors);
  convert(Checkpoint(folder / "m.gguf"), folder / "mlx");
  EXPECT_EQ(Checkpoint(folder / "mlx").chat_template(), "{{ messages }}");
  convert_to_gguf(Checkpoint(folder / "mlx"), folder / "back.gguf");
  convert_to_gguf(Checkpoint(folder / "m.gguf"), folder / "direct.gguf");
  for (const char* name : {"back.gguf", "direct.gguf"}) {
    const TensorFile before(folder / "m.gguf"), after(folder / name);
    ASSERT_EQ(after.tensors().size(), tensors.size());
    for (const TensorInfo& tensor : before.tensors()) {
      ASSERT_NE(after.find(tensor.name), nullptr) << tensor.name;
      EXPECT_EQ(after.find(tensor.name)->type, tensor.type) << tensor.name;
      EXPECT_EQ(after.read(tensor.name).to_bytes(), before.read(tensor.name).to_bytes());
    }
    EXPECT_EQ(after.metadata().at("llama.embedding_length"), "32");
  }
}

TEST(GgufModel, BringsItsTokenizer) {
  const TempFolder folder;
  const std::vector<std::string> tokens = {"a", "b", "ab"};
  write(folder / "m.gguf", "llama",
        {{"token_embd.weight", StoredType::kF32, random_matrix(1, {3, 4})}},
        {{"tokenizer.ggml.model", std::string("gpt2")},
         {"tokenizer.ggml.pre", std::string("gpt-2")},
         {"tokenizer.ggml.merges", std::vector<std::string>{"a b"}}},
        tokens);
  const Converted written = convert(Checkpoint(folder / "m.gguf"), folder / "mlx");
  EXPECT_EQ(written.has_tokenizer, has_text());
  if (!has_text()) return;
  const Config settings = Config::read(folder / "mlx/tokenizer_config.json");
  EXPECT_EQ(settings.get<std::string>("eos_token"), "ab");
  EXPECT_EQ(settings.get<std::string>("chat_template"), "{{ messages }}");
  // And its own spelling of how texts are cut into words goes back.
  convert_to_gguf(Checkpoint(folder / "mlx"), folder / "back.gguf");
  EXPECT_EQ(TensorFile(folder / "back.gguf").metadata().at("tokenizer.ggml.pre"), "gpt-2");
  for (const char* path : {"m.gguf", "mlx"}) {
    const Tokenizer tokenizer = Checkpoint(folder / path).tokenizer();
    EXPECT_THAT(tokenizer.encode("abba"), ElementsAre(2u, 1u, 0u)) << path;
    EXPECT_EQ(tokenizer.decode(std::vector<std::uint32_t>{2, 1, 0}), "abba");
  }
}

TEST(GgufModel, IsWrittenInBlocksOfAType) {
  const TempFolder folder;
  const Tensor up = random_matrix(5, {16, 64}), odd = random_matrix(6, {16, 40});
  save_safetensors(folder / "model.safetensors", {{"model.layers.0.mlp.up_proj.weight", up},
                                                  {"model.layers.0.mlp.down_proj.weight", odd},
                                                  {"model.norm.weight", random_matrix(7, {64})}});
  folder.write("config.json",
               R"({"model_type": "qwen3", "vocab_size": 4, "eos_token_id": [2, 3]})");
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1},
      "merges": ["a b", ["b", "a"]]}, "pre_tokenizer": {"type": "Sequence", "pretokenizers":
      [{"type": "ByteLevel"}]}, "added_tokens": [{"id": 2, "content": "<e>", "special": true}]})");
  for (const auto& [name, type] :
       {std::pair{"q8_0", StoredType::kQ8_0}, std::pair{"q4_0", StoredType::kQ4_0},
        std::pair{"q4_1", StoredType::kQ4_1}}) {
    const std::filesystem::path path = folder / (std::string(name) + ".gguf");
    convert_to_gguf(Checkpoint(folder.path()), path, {.type = name});
    const TensorFile file(path);
    std::vector<std::byte> blocks(files::stored_bytes(type, up.shape()));
    files::encode_blocks(type, up.to_vector<float>(), blocks);
    std::vector<float> decoded(static_cast<std::size_t>(up.size()));
    files::decode_blocks(type, blocks, decoded);
    EXPECT_EQ(file.read("blk.0.ffn_up.weight").to_vector<float>(), decoded);
    EXPECT_EQ(file.find("blk.0.ffn_down.weight")->type, "f16");
    EXPECT_EQ(file.find("output_norm.weight")->type, "f32");
    EXPECT_EQ(file.metadata().at("tokenizer.ggml.pre"), "gpt-2");
    EXPECT_EQ(file.metadata().at("tokenizer.ggml.eos_token_id"), "2");
  }
}

TEST(GgufModel, IsNotWrittenWhereSomethingHasNoNameThere) {
  const TempFolder folder;
  const Tensor weight = random_matrix(5, {4, 32});
  const auto told = [&](const std::string& config, const std::string& name) {
    save_safetensors(folder / "model.safetensors", {{name, weight}});
    folder.write("config.json", config);
    return error_of<UnsupportedError>(
        [&] { convert_to_gguf(Checkpoint(folder.path()), folder / "x.gguf"); });
  };
  EXPECT_THAT(told(R"({"model_type": "mamba2"})", "a.weight"), HasSubstr("\"mamba2\""));
  EXPECT_THAT(told(R"({"model_type": "llama"})", "model.layers.0.mixer.weight"),
              HasSubstr("model.layers.0.mixer.weight"));
  folder.write("tokenizer.json", R"({"model": {"type": "Unigram"}})");
  EXPECT_THAT(told(R"({"model_type": "llama", "vocab_size": 4})", "lm_head.weight"),
              AllOf(HasSubstr("tokenizer.json"), HasSubstr("byte-level BPE")));
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 9}, "merges": []},
                                     "pre_tokenizer": {"type": "ByteLevel"}})");
  EXPECT_THAT(
      error_of<FormatError>([&] { convert_to_gguf(Checkpoint(folder.path()), folder / "x.gguf"); }),
      HasSubstr("the number 9, and the model knows 4"));
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {}, "merges": []},
      "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"},
      {"type": "ByteLevel"}]}})");
  EXPECT_THAT(error_of<UnsupportedError>(
                  [&] { convert_to_gguf(Checkpoint(folder.path()), folder / "x.gguf"); }),
              HasSubstr("Whitespace"));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                convert_to_gguf(Checkpoint(folder.path()), folder / "x.gguf", {.type = "q9"});
              }),
              HasSubstr("q4_1"));
  EXPECT_EQ(folder.count(), 3) << "something partial is left";
}

TEST(GgufModel, ListsMetadataOfTheFile) {
  const TempFolder folder;
  write(folder / "m.gguf", "llama", {}, {{"general.name", std::string("Tiny")}});
  const TensorFile file(folder / "m.gguf");
  EXPECT_EQ(file.format(), "gguf");
  EXPECT_EQ(file.metadata().at("general.name"), "Tiny");
  EXPECT_EQ(file.metadata().at("llama.block_count"), "1");
  EXPECT_FALSE(file.metadata().contains("tokenizer.ggml.tokens"));
}

}  // namespace
}  // namespace mlxnx
