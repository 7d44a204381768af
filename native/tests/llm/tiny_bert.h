// A folder with a BERT of two layers, 8 numbers wide, and a tokenizer of a few words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/random.h"
#include "temp_folder.h"

namespace mlxnx::testing_support {

inline constexpr int kBertDims = 8, kBertHeads = 2, kBertInner = 20, kBertLayers = 2;
inline constexpr int kBertWords = 12, kBertPositions = 16;

inline nlohmann::json bert_config() {
  return {{"model_type", "bert"},
          {"hidden_size", kBertDims},
          {"num_attention_heads", kBertHeads},
          {"intermediate_size", kBertInner},
          {"num_hidden_layers", kBertLayers},
          {"vocab_size", kBertWords},
          {"max_position_embeddings", kBertPositions},
          {"type_vocab_size", 2}};
}

/// Pieces of words, and [CLS] and [SEP] around them.
inline nlohmann::json word_pieces_json() {
  using nlohmann::json;
  const std::vector<std::string> words = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat",
                                          "dog",   "sleep", "##s",   "run",   ".",   "un"};
  json vocabulary = json::object();
  for (std::size_t id = 0; id < words.size(); ++id) vocabulary[words[id]] = id;
  const auto special = [](const char* token) {
    return json{{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
  };
  const auto entry = [](const char* token, int id) {
    return json{{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  };
  return {
      {"version", "1.0"},
      // What a tokenizer was saved with says nothing of how texts are embedded.
      {"truncation",
       {{"max_length", 4}, {"strategy", "LongestFirst"}, {"stride", 0}, {"direction", "Right"}}},
      {"padding", nullptr},
      {"added_tokens", json::array()},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", true},
        {"strip_accents", nullptr},
        {"lowercase", true}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         {special("[CLS]"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("[SEP]")}},
        {"pair",
         {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
        {"special_tokens", {{"[CLS]", entry("[CLS]", 2)}, {"[SEP]", entry("[SEP]", 3)}}}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", vocabulary}}}};
}

/// Weights by Hugging Face's names, each drawn by a key of its own.
inline nn::Parameters bert_weights() {
  nn::Parameters weights;
  std::uint64_t seed = 1;
  const auto add = [&](const std::string& name, const Shape& shape) {
    weights.emplace(name, random::normal(random::key(seed++), shape) * 0.5);
  };
  const auto linear = [&](const std::string& name, std::int64_t inputs, std::int64_t outputs) {
    add(name + ".weight", {outputs, inputs});
    add(name + ".bias", {outputs});
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".LayerNorm.weight", {kBertDims});
    add(name + ".LayerNorm.bias", {kBertDims});
  };
  add("embeddings.word_embeddings.weight", {kBertWords, kBertDims});
  add("embeddings.position_embeddings.weight", {kBertPositions, kBertDims});
  add("embeddings.token_type_embeddings.weight", {2, kBertDims});
  norm("embeddings");
  for (int layer = 0; layer < kBertLayers; ++layer) {
    const std::string at = "encoder.layer." + std::to_string(layer) + ".";
    for (const char* part : {"query", "key", "value"})
      linear(at + "attention.self." + part, kBertDims, kBertDims);
    linear(at + "attention.output.dense", kBertDims, kBertDims);
    norm(at + "attention.output");
    linear(at + "intermediate.dense", kBertDims, kBertInner);
    linear(at + "output.dense", kBertInner, kBertDims);
    norm(at + "output");
  }
  return weights;
}

inline void write_bert(const TempFolder& folder, const nlohmann::json& config = bert_config(),
                       const nn::Parameters& weights = bert_weights()) {
  folder.write("config.json", config.dump());
  folder.write("tokenizer.json", word_pieces_json().dump());
  save_safetensors(folder / "model.safetensors", weights);
}

}  // namespace mlxnx::testing_support
