// Vectors for texts, near each other where the texts mean something alike.
//
//     auto model = llm::EmbeddingModel::load("all-MiniLM-L6-v2");
//     std::vector<std::string> texts = {"A cat sleeps.", "The kitten naps.", "Rates rise."};
//     Tensor vectors = model.embed(texts);                  // f32[3][384], of length 1
//     Tensor cosines = dot(vectors, transpose(vectors));    // f32[3][3]
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mlxnx/checkpoint.h"
#include "mlxnx/llm/model.h"
#include "mlxnx/tensor.h"
#include "mlxnx/text.h"

namespace mlxnx::llm {

/// What of the rows of a text's tokens becomes its vector.
enum class Pooling : std::uint8_t {
  kMean,  ///< their mean
  kCls,   ///< the first, which is of a token [CLS] or <s>
  kLast,  ///< the last
};
inline constexpr Pooling kPoolings[] = {Pooling::kMean, Pooling::kCls, Pooling::kLast};
/// "mean", "cls" or "last".
std::string_view name(Pooling pooling);
/// The one of that name, or none.
///
///     pooling_of("cls");  // Pooling::kCls
std::optional<Pooling> pooling_of(std::string_view name);

/// Options of `EmbeddingModel::embed`; what is not given is as `EmbeddingModel::defaults` says.
struct EmbedOptions {
  std::optional<Pooling> pooling = std::nullopt;
  std::optional<bool> normalize = std::nullopt;  ///< whether vectors are brought to the length 1
  std::int64_t batch_size = 32;                  ///< texts at a time, at most
  /// Longer texts are cut to so many tokens, those that the tokenizer puts around them included.
  std::optional<std::int64_t> max_length = std::nullopt;
};

/// A model of embeddings with its tokenizer: an encoder (BERT, RoBERTa, XLM-RoBERTa, CamemBERT) or
/// any model that `Model` knows. Copies share all of it; any thread may use it.
class EmbeddingModel {
 public:
  /// The model of a folder, or of a .gguf file. Its defaults are those of sentence-transformers'
  /// files, where they are: `modules.json` and the pooling that it names, and
  /// `sentence_bert_config.json`; else vectors of length 1, of the mean for encoders and of the
  /// last token for others, and as many tokens as there are positions.
  /// Throws: as `Model::load` and `Checkpoint::tokenizer`; UnsupportedError for another pooling,
  /// and for steps of `modules.json` other than pooling and norms.
  static EmbeddingModel load(const std::filesystem::path& path, const LoadOptions& options = {});
  static EmbeddingModel load(const Checkpoint& checkpoint, const LoadOptions& options = {});

  /// With all that is not given filled in; `max_length` may be absent, where any length is taken.
  const EmbedOptions& defaults() const;
  const Tokenizer& tokenizer() const;
  /// Bytes of the weights.
  std::size_t byte_size() const;
  /// The tokens of a text, cut to `max_length`. Throws: ArgumentError for text that is not UTF-8,
  /// and for a length that leaves no room for what the tokenizer puts around a text.
  std::vector<std::uint32_t> tokens(std::string_view text,
                                    std::optional<std::int64_t> max_length = std::nullopt) const;

  /// A vector for each text, in their order; texts of alike length are computed together. A text
  /// without any token, which is empty and gets none from its tokenizer, has zeros.
  /// Shapes: result `[count, size]`, f32. Throws: ArgumentError for no text, options less than 1, a
  /// `max_length` beyond an encoder's positions, and when `progress` does not go on; as `tokens`.
  Tensor embed(std::span<const std::string> texts, const EmbedOptions& options = {},
               const Progress& progress = {}) const;

 private:
  struct Parts;
  explicit EmbeddingModel(std::shared_ptr<const Parts> parts);
  std::shared_ptr<const Parts> parts_;
};

}  // namespace mlxnx::llm
