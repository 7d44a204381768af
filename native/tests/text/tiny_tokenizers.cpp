#include "text/tiny_tokenizers.h"

#include <fmt/format.h>

#include <cstring>

namespace mlxnx::testing_support {
namespace {

/// The character that stands for a byte in byte-level vocabularies.
std::string letter_of(int byte) {
  const auto is_printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  int code = byte;
  if (!is_printable(byte)) {
    code = 256;
    for (int before = 0; before < byte; ++before) code += is_printable(before) ? 0 : 1;
  }
  if (code < 128) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

void put_number(std::string& out, std::uint64_t number) {
  while (number >= 128) {
    out.push_back(static_cast<char>(number | 128));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

void put_bytes(std::string& out, int field, const std::string& bytes) {
  put_number(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_number(out, bytes.size());
  out += bytes;
}

void put_flag(std::string& out, int field, std::uint64_t number) {
  put_number(out, static_cast<std::uint64_t>(field) << 3);
  put_number(out, number);
}

}  // namespace

std::uint32_t token_of_byte(unsigned char byte) { return byte; }

nlohmann::json byte_level_json() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) vocabulary[letter_of(byte)] = byte;
  const std::string space = letter_of(' ');
  nlohmann::json merges = nlohmann::json::array();
  int next = 256;
  for (const auto& [left, right] :
       std::vector<std::pair<std::string, std::string>>{{"h", "e"},
                                                        {"he", "l"},
                                                        {"hel", "l"},
                                                        {"hell", "o"},
                                                        {space, "w"},
                                                        {space + "w", "o"}}) {
    vocabulary[left + right] = next++;
    merges.push_back({left, right});
  }
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", false},
                                     {"use_regex", true}};
  return {
      {"version", "1.0"},
      {"truncation",
       {{"max_length", 4}, {"strategy", "LongestFirst"}, {"stride", 0}, {"direction", "Right"}}},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", kEnd},
         {"content", "<|end|>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
          {{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}}}},
        {"pair",
         {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "B"}, {"type_id", 0}}}}}},
        {"special_tokens",
         {{"<|end|>", {{"id", "<|end|>"}, {"ids", {kEnd}}, {"tokens", {"<|end|>"}}}}}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocabulary},
        {"merges", merges}}}};
}

Pieces byte_fallback_pieces() {
  Pieces pieces;
  const auto add = [&](const std::string& text, std::int32_t type, float score) {
    pieces.texts.push_back(text);
    pieces.types.push_back(type);
    pieces.scores.push_back(score);
  };
  add("<unk>", 2, 0);
  add("<s>", 3, 0);
  add("</s>", 3, 0);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), 6, 0);
  float score = 0;
  for (const char* text : {"▁h", "▁hi", "ab", "abc", "▁", "h", "i", "a", "b", "c"})
    add(text, 1, score -= 1);
  add("<user>", 4, 0);
  return pieces;
}

TokenizerParts Pieces::parts() const {
  return {.model = "llama",
          .tokens = {texts.begin(), texts.end()},
          .scores = scores,
          .types = types,
          .bos = 1,
          .eos = 2,
          .unknown = 0};
}

std::string sentencepiece_model(const Pieces& pieces, int model_type) {
  std::string model;
  for (std::size_t i = 0; i < pieces.texts.size(); ++i) {
    std::string piece;
    put_bytes(piece, 1, pieces.texts[i]);
    put_number(piece, 2 << 3 | 5);
    char bits[4];
    std::memcpy(bits, &pieces.scores[i], 4);
    piece.append(bits, 4);
    put_flag(piece, 3, static_cast<std::uint64_t>(pieces.types[i]));
    put_bytes(model, 1, piece);
  }
  std::string trainer;
  put_flag(trainer, 3, static_cast<std::uint64_t>(model_type));
  put_flag(trainer, 35, 1);
  put_bytes(model, 2, trainer);
  std::string normalizer;
  put_flag(normalizer, 4, 0);
  put_bytes(model, 3, normalizer);
  return model;
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<std::uint32_t>& ids) {
  Detokenizer detokenizer(tokenizer);
  std::string text;
  for (const std::uint32_t id : ids) text += detokenizer.push(id);
  return text + detokenizer.finish();
}

}  // namespace mlxnx::testing_support
