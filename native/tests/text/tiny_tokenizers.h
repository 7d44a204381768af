// Tokenizers small enough to know what they answer, of each kind of file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mlxnx/text.h"

namespace mlxnx::testing_support {

/// Byte-level BPE: the 256 bytes, then "he", "hel", "hell", "hello", " w", " wo", and the special
/// token <|end|>.
nlohmann::json byte_level_json();
inline constexpr std::uint32_t kHello = 259;
inline constexpr std::uint32_t kEnd = 262;

/// The token of a byte in that vocabulary.
std::uint32_t token_of_byte(unsigned char byte);

/// SentencePiece BPE with byte fallback: <unk>, <s>, </s>, 256 bytes, "▁", letters, "▁hi".
struct Pieces {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  TokenizerParts parts() const;
};
Pieces byte_fallback_pieces();
/// The same as the protocol buffer of a `tokenizer.model`; `model_type` is 1 for unigram, 2 for
/// BPE.
std::string sentencepiece_model(const Pieces& pieces, int model_type);

/// All tokens through a Detokenizer.
std::string streamed(const Tokenizer& tokenizer, const std::vector<std::uint32_t>& ids);

}  // namespace mlxnx::testing_support
