// Texts from a language model: a model with its tokenizer and its chat template.
//
//     llm::TextModel model = llm::TextModel::load("SmolLM2-135M-Instruct.Q4_1.gguf");
//     auto prompt = model.chat_prompt(R"([{"role": "user", "content": "What is MLX?"}])");
//     llm::TextGenerator answer(model, prompt, {.tokens = {.max_tokens = 100}});
//     while (auto piece = answer.next()) std::cout << piece->text << std::flush;
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/llm/generate.h"
#include "mlxnx/llm/model.h"
#include "mlxnx/text.h"

namespace mlxnx::llm {

class PromptCache;  // mlxnx/llm/prompt_cache.h

/// Options of `TextModel::chat_prompt`.
struct ChatOptions {
  bool add_generation_prompt = true;    ///< ends with what begins an answer
  bool continue_final_message = false;  ///< the answer goes on with the last message
  std::string tools = {};               ///< a JSON list of functions; empty: none
  std::string variables = {};           ///< a JSON object of what else the template reads
  std::optional<std::string> chat_template = std::nullopt;  ///< in place of the model's own
};

/// What an answer has to be, by one of these; all empty: anything.
struct Constraint {
  std::string json_schema = {};  ///< JSON by this schema
  std::string grammar = {};      ///< a text of this grammar, in Lark's notation
  std::string regex = {};        ///< what this regular expression matches as a whole
};

/// A model, its tokenizer, its chat template and the tokens that end a text. Copies share all of
/// it; any thread may use it.
class TextModel {
 public:
  /// The model of a folder or a .gguf file. Throws: as `Model::load` and `Checkpoint::tokenizer`.
  /// mlx-lm: load
  static TextModel load(const std::filesystem::path& path, const LoadOptions& options = {});
  /// One of parts that are there already.
  TextModel(Model model, Tokenizer tokenizer, std::optional<std::string> chat_template = {},
            std::vector<std::uint32_t> eos_tokens = {}, std::string special_tokens = {});

  const Model& model() const { return model_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  bool has_chat_template() const { return chat_template_.has_value(); }
  /// The tokens that end a text.
  const std::vector<std::uint32_t>& eos_tokens() const { return eos_tokens_; }

  /// The tokens of a plain text, with what the tokenizer puts before one that has it not.
  /// Throws: ArgumentError for text that is not UTF-8.
  std::vector<std::uint32_t> prompt(std::string_view text) const;

  /// The tokens of messages, a JSON list of `{"role": …, "content": …}`, as the chat template
  /// writes them. Throws: ArgumentError where there is no template, for what is no such list, and
  /// with the template's own error.
  std::vector<std::uint32_t> chat_prompt(std::string_view messages,
                                         const ChatOptions& options = {}) const;
  /// The text of it.
  std::string chat_text(std::string_view messages, const ChatOptions& options = {}) const;

  /// The grammar for `GenerateOptions`, if any. Throws: ArgumentError for more than one constraint
  /// and for one that is wrong.
  std::optional<Grammar> grammar(const Constraint& constraint) const;
  /// That for a model which thinks between `<think>` and `</think>`.
  ThinkingBudget thinking_budget(std::int64_t max_tokens) const;

 private:
  Model model_;
  Tokenizer tokenizer_;
  std::optional<std::string> chat_template_;
  std::vector<std::uint32_t> eos_tokens_;
  std::string special_tokens_;  ///< a JSON object: bos_token and the like
};

struct TextOptions {
  GenerateOptions tokens = {};
  std::vector<std::string> stop = {};  ///< texts before which the answer ends
  /// Tokens that end the text beside the model's own, as the vocabulary writes them.
  std::vector<std::string> extra_eos_tokens = {};
  bool skip_special_tokens = false;  ///< leaves tokens that are no text out of it
};

/// Why a text is over.
enum class FinishReason : std::uint8_t {
  kNone,    ///< it is not
  kStop,    ///< a token that ends it, a stop text, or the end of a grammar
  kLength,  ///< as many tokens as were asked for
};
/// "stop", "length", or nothing.
std::string_view name(FinishReason reason);

struct TextPiece {
  std::string text;  ///< whole characters; often empty
  std::optional<GeneratedToken> token;
  FinishReason finish_reason = FinishReason::kNone;
};

/// How long it took, and how much memory.
struct GenerationStats {
  std::size_t prompt_tokens = 0, generation_tokens = 0;
  std::size_t cached_tokens = 0;  ///< of the prompt's: those that were known already
  double prompt_seconds = 0, generation_seconds = 0;
  std::size_t accepted_drafts = 0;  ///< tokens that were guessed
  std::size_t peak_memory = 0;      ///< bytes of tensors, the most since this began

  double prompt_tps() const {
    return prompt_seconds > 0 ? double(prompt_tokens - cached_tokens) / prompt_seconds : 0;
  }
  double generation_tps() const {
    return generation_seconds > 0 ? double(generation_tokens) / generation_seconds : 0;
  }
};

/// A text that grows by pieces. Destroying it, or not asking on, ends the work.
class TextGenerator {
 public:
  /// Throws: as `TokenGenerator`, and ArgumentError for an end that the vocabulary has not.
  TextGenerator(TextModel model, std::vector<std::uint32_t> prompt, TextOptions options = {},
                std::optional<Cache> cache = std::nullopt, std::size_t known = 0);
  /// One that does not compute again what `memory` holds of the prompt. `memory` gets all of it
  /// back when the text is over or given up, and nothing when it fails. Throws: as above, and
  /// ArgumentError for the memory of another model.
  TextGenerator(TextModel model, std::vector<std::uint32_t> prompt, TextOptions options,
                std::shared_ptr<PromptCache> memory);
  TextGenerator(TextGenerator&&) noexcept;
  TextGenerator& operator=(TextGenerator&&) noexcept;
  ~TextGenerator();

  /// See `TokenGenerator::prefill_part`.
  std::optional<PromptProgress> prefill_part();
  /// The next piece, one for each token; the last one has a reason. Nothing after that.
  /// mlx-lm: stream_generate
  std::optional<TextPiece> next();
  const GenerationStats& stats() const;
  const TokenGenerator& tokens() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct GeneratedText {
  std::string text;
  std::vector<std::uint32_t> tokens;  ///< of the answer
  FinishReason finish_reason = FinishReason::kNone;
  GenerationStats stats;
};

/// All of it at once. mlx-lm: generate
///
///     generate(model, model.prompt("The capital of France is"), {.tokens = {.max_tokens =
///     5}}).text;
GeneratedText generate(const TextModel& model, std::vector<std::uint32_t> prompt,
                       TextOptions options = {}, std::optional<Cache> cache = std::nullopt);

}  // namespace mlxnx::llm
