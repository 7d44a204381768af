// From text to tokens and back: tokenizers of every file format, text that streams, chat templates,
// and grammars that say which tokens may come next. Needs no MLX. All of it is a library in Rust
// inside this one; a build without cargo lacks it (`has_text`), and what would make one of these
// values then throws UnsupportedError.
//
// Values are cheap to copy and, but for Detokenizer and GrammarMatcher, may be used by many threads
// at once. Texts are UTF-8. Read next: examples in native/tests/text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlxnx {

namespace text {
struct TokenizerHandle;
struct DetokenizerHandle;
struct TemplateHandle;
struct GrammarHandle;
struct MatcherHandle;
}  // namespace text

/// Whether this build has tokenizers, chat templates and grammars.
bool has_text();

/// A token that is looked for in texts before anything else is.
struct AddedToken {
  std::uint32_t id = 0;
  std::string content;
  bool special = false;      ///< left out of texts that are to be read
  bool normalized = false;   ///< looked for in the normalized text
  bool single_word = false;  ///< not within a word
  bool strips_left = false;  ///< takes the spaces before it
  bool strips_right = false;
};

/// Tokens, and for each where its bytes start in the text and where they end.
struct Encoding {
  std::vector<std::uint32_t> ids;
  std::vector<std::pair<std::size_t, std::size_t>> offsets;
};

/// What GGUF's `tokenizer.ggml.*` holds: `model` is "gpt2", "llama", "t5" or "bert", `pre` the name
/// of how "gpt2" cuts texts into words, `types` are 1 normal, 2 unknown, 3 control, 4 user-defined,
/// 5 unused, 6 byte. What the file does not say stays empty.
struct TokenizerParts {
  std::string_view model;
  std::string_view pre = {};
  std::vector<std::string_view> tokens = {};
  std::vector<float> scores = {};
  std::vector<std::int32_t> types = {};
  std::vector<std::string_view> merges = {};
  std::optional<std::uint32_t> bos = {}, eos = {}, unknown = {}, separator = {};
  std::optional<bool> add_bos = {}, add_eos = {}, add_space_prefix = {}, remove_extra_spaces = {};
  std::string_view character_map = {};  ///< SentencePiece's `precompiled_charsmap`
};

struct SentencePieceOptions {
  bool add_bos = true;  ///< `add_bos_token` of tokenizer_config.json
  bool add_eos = false;
};

struct TiktokenOptions {
  std::string pattern = "cl100k";  ///< a pre-tokenizer's name, or a regular expression of words
  std::map<std::string, std::uint32_t> special_tokens = {};
};

struct EncodeOptions {
  bool add_special = true;  ///< with the tokens that the tokenizer puts around a text
};

struct DecodeOptions {
  bool skip_special = false;
};

/// Turns texts into tokens and back. Throws, where it is made: FormatError for what is no such
/// file, UnsupportedError for what is one of another kind.
///
///     auto tokenizer = Tokenizer::from_file("model/tokenizer.json");
///     auto ids = tokenizer.encode("Hello!");
///     auto text = tokenizer.decode(ids, {.skip_special = true});  // "Hello!"
class Tokenizer {
 public:
  /// By the name's end: `.json` (tokenizer.json), `.model` (SentencePiece's, or tiktoken's ranks),
  /// `.tiktoken`; with the defaults of the functions below. Throws also: ArgumentError for other
  /// names and when it can't be read; each error names the file.
  static Tokenizer from_file(const std::filesystem::path& path);
  /// The contents of a `tokenizer.json`.
  static Tokenizer from_json(std::string_view json);
  /// The contents of SentencePiece's `tokenizer.model`: unigram or BPE.
  static Tokenizer from_sentencepiece(std::string_view model, SentencePieceOptions options = {});
  /// The contents of a file of tiktoken's ranks.
  static Tokenizer from_tiktoken(std::string_view ranks, const TiktokenOptions& options = {});
  /// The metadata of a GGUF file.
  static Tokenizer from_parts(const TokenizerParts& parts);

  /// Throws: ArgumentError for text that is not UTF-8.
  std::vector<std::uint32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  Encoding encode_with_offsets(std::string_view text, EncodeOptions options = {}) const;
  std::vector<std::vector<std::uint32_t>> encode_many(std::span<const std::string> texts,
                                                      EncodeOptions options = {}) const;
  /// Numbers without a token have no text: models have more outputs than tokenizers have tokens.
  std::string decode(std::span<const std::uint32_t> ids, DecodeOptions options = {}) const;

  /// The largest id and 1.
  std::size_t vocabulary_size() const;
  /// Tokens as the vocabulary writes them ("Ġhello").
  std::optional<std::uint32_t> id_of(std::string_view token) const;
  std::optional<std::string> token_of(std::uint32_t id) const;
  /// The bytes that a token stands for (" hello"); they may be a part of a character.
  std::optional<std::string> piece_of(std::uint32_t id) const;
  bool is_special(std::uint32_t id) const;
  /// In the order of their ids.
  std::vector<AddedToken> added_tokens() const;

  /// The contents of a `tokenizer.json` that says the same.
  std::string to_json() const;

 private:
  friend class Detokenizer;
  friend class Grammar;
  explicit Tokenizer(std::shared_ptr<const text::TokenizerHandle> handle)
      : handle_(std::move(handle)) {}
  std::shared_ptr<const text::TokenizerHandle> handle_;
};

/// Text from tokens that come one by one: whole characters only, and none is taken back. What it
/// answers, put together, is what `decode` does of all the tokens; bytes that are no UTF-8 become
/// replacement characters. Not for two threads at once.
///
///     Detokenizer detokenizer(tokenizer);
///     for (std::uint32_t id : ids) std::cout << detokenizer.push(id);
///     std::cout << detokenizer.finish();
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, DecodeOptions options = {});
  /// The text that `id` makes whole; often empty.
  std::string push(std::uint32_t id);
  /// What is left; then it is as new.
  std::string finish();

 private:
  std::unique_ptr<text::DetokenizerHandle, void (*)(text::DetokenizerHandle*)> handle_;
};

struct RenderedChat {
  std::string text;
  /// The bytes of `{% generation %}` blocks: where each starts and where it ends.
  std::vector<std::pair<std::size_t, std::size_t>> generated;
};

struct RenderOptions {
  /// The time that `strftime_now` tells, as "2026-03-05T14:07:09"; empty: the local time.
  std::string clock = {};
};

/// A chat template as transformers renders it: Jinja2 with trimmed blocks, loop controls,
/// `raise_exception`, `strftime_now`, `tojson` and Python's methods. What it may compute, and how
/// deep, is limited. Throws, where it is made: ArgumentError for a template that is wrong.
///
///     ChatTemplate chat("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
///     chat.render(R"({"messages": [{"role": "user", "content": "Hi"}]})").text;  // "<user>Hi"
class ChatTemplate {
 public:
  explicit ChatTemplate(std::string_view source);
  /// `variables` is a JSON object: `messages`, `tools`, `documents`, `add_generation_prompt`, and
  /// whatever else the template reads; with `continue_final_message` the text ends where the last
  /// message's does. Throws: ArgumentError with the text of the template's own error
  /// (`raise_exception`), or with what is wrong and the line.
  RenderedChat render(std::string_view variables, const RenderOptions& options = {}) const;

 private:
  std::shared_ptr<const text::TemplateHandle> handle_;
};

/// A set of tokens: bit id % 32 of word id / 32.
struct TokenMask {
  std::vector<std::uint32_t> words;

  bool allows(std::uint32_t id) const {
    return id / 32 < words.size() && (words[id / 32] >> (id % 32) & 1) != 0;
  }
};

/// A language that a text has to be of. `ends` are the tokens that end a text; they are allowed
/// where the text is complete. Throws, where it is made: ArgumentError for a grammar that is wrong
/// or too large.
///
///     auto grammar = Grammar::json_schema(tokenizer, ends, R"({"type": "boolean"})");
class Grammar {
 public:
  /// Texts that are JSON by a schema.
  static Grammar json_schema(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                             std::string_view schema);
  /// Texts of a grammar in Lark's notation, with the rule `start`.
  static Grammar lark(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                      std::string_view grammar);
  /// Texts that a regular expression matches as a whole.
  static Grammar regex(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                       std::string_view pattern);

 private:
  friend class GrammarMatcher;
  explicit Grammar(std::shared_ptr<const text::GrammarHandle> handle)
      : handle_(std::move(handle)) {}
  static Grammar make(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                      std::string_view kind, std::string_view source);
  std::shared_ptr<const text::GrammarHandle> handle_;
};

/// Follows one text through a grammar, token by token. A copy follows on by itself. Not for two
/// threads at once.
///
///     GrammarMatcher matcher(grammar);
///     while (!matcher.is_stopped()) matcher.accept(sample(logits(), matcher.mask()));
class GrammarMatcher {
 public:
  explicit GrammarMatcher(const Grammar& grammar);
  GrammarMatcher(const GrammarMatcher& other);
  GrammarMatcher& operator=(const GrammarMatcher& other);
  GrammarMatcher(GrammarMatcher&&) noexcept = default;
  GrammarMatcher& operator=(GrammarMatcher&&) noexcept = default;

  /// The tokens that may come next; where the text is over, those that end it. Throws:
  /// ArgumentError when the grammar takes too much to compute.
  TokenMask mask();
  /// Goes on by `token`. Throws: ArgumentError, and nothing changes, where it may not come next.
  void accept(std::uint32_t token);
  /// How many of `tokens` may come next, one after the other; nothing changes.
  std::size_t count_accepted(std::span<const std::uint32_t> tokens);
  /// Takes the last `count` tokens back.
  void rollback(std::size_t count);
  /// Whether nothing can follow.
  bool is_stopped() const;
  /// Whether the text may end here.
  bool is_accepting();

 private:
  std::unique_ptr<text::MatcherHandle, void (*)(text::MatcherHandle*)> handle_;
  std::size_t words_;
};

}  // namespace mlxnx
