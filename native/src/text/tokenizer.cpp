#include <fmt/format.h>

#include "files/file_errors.h"
#include "files/json_values.h"
#include "files/mapped_file.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "text/library.h"

namespace mlxnx {

using text::call;
using text::raw;
using text::span_of;
using text::take;

namespace {

constexpr std::string_view kTokenizerOp = "tokenizer";

template <typename Make>
std::shared_ptr<const text::TokenizerHandle> shared_tokenizer(Make make) {
  return text::shared<text::TokenizerHandle>(kTokenizerOp, mlxnx_text_tokenizer_free, make);
}

std::string json_of(const TiktokenOptions& options) {
  return nlohmann::json{{"pattern", options.pattern}, {"special_tokens", options.special_tokens}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<mlxnx_text_span> spans_of(const std::vector<std::string_view>& texts) {
  std::vector<mlxnx_text_span> spans;
  spans.reserve(texts.size());
  for (const std::string_view text : texts) spans.push_back(span_of(text));
  return spans;
}

std::int64_t or_none(std::optional<std::uint32_t> id) { return id ? std::int64_t{*id} : -1; }
std::int32_t or_none(std::optional<bool> flag) { return flag ? std::int32_t{*flag} : -1; }

/// Without the "[op] " that the name of the file is to stand behind.
template <typename F>
Tokenizer of_file(const std::filesystem::path& path, F make) {
  const auto plain = [&](const std::exception& error) {
    return std::string(error.what()).substr(kTokenizerOp.size() + 3);
  };
  return files::naming_file(kTokenizerOp, path, [&] {
    const files::MappedFile file(path, kTokenizerOp);
    const auto bytes = file.bytes();
    try {
      return make(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    } catch (const FormatError& error) {
      throw FormatError(plain(error));
    } catch (const UnsupportedError& error) {
      throw UnsupportedError(plain(error));
    }
  });
}

}  // namespace

Tokenizer Tokenizer::from_file(const std::filesystem::path& path) {
  const std::string kind = path.extension().string();
  if (kind == ".json") return of_file(path, from_json);
  if (kind == ".model")
    return of_file(path, [](std::string_view model) {
      // A protocol buffer of pieces starts with the tag of its first one; ranks start with a
      // letter.
      const bool is_ranks = !model.empty() && model.front() != '\n';
      return is_ranks ? from_tiktoken(model) : from_sentencepiece(model);
    });
  if (kind == ".tiktoken")
    return of_file(path, [](std::string_view ranks) { return from_tiktoken(ranks); });
  throw ArgumentError(fmt::format("[{}] {}: a tokenizer's file ends in .json, .model or .tiktoken",
                                  kTokenizerOp, path.string()));
}

Tokenizer Tokenizer::from_json(std::string_view json) {
  return Tokenizer(shared_tokenizer([&](auto out, auto error) {
    return mlxnx_text_tokenizer_from_json(span_of(json), out, error);
  }));
}

Tokenizer Tokenizer::from_sentencepiece(std::string_view model, SentencePieceOptions options) {
  return Tokenizer(shared_tokenizer([&](auto out, auto error) {
    return mlxnx_text_tokenizer_from_sentencepiece(span_of(model), options.add_bos, options.add_eos,
                                                   out, error);
  }));
}

Tokenizer Tokenizer::from_tiktoken(std::string_view ranks, const TiktokenOptions& options) {
  const std::string json = json_of(options);
  return Tokenizer(shared_tokenizer([&](auto out, auto error) {
    return mlxnx_text_tokenizer_from_tiktoken(span_of(ranks), span_of(json), out, error);
  }));
}

Tokenizer Tokenizer::from_parts(const TokenizerParts& parts) {
  const std::vector<mlxnx_text_span> tokens = spans_of(parts.tokens);
  const std::vector<mlxnx_text_span> merges = spans_of(parts.merges);
  const mlxnx_text_parts given{
      .model = span_of(parts.model),
      .pre = span_of(parts.pre),
      .tokens = tokens.data(),
      .token_count = tokens.size(),
      .scores = parts.scores.data(),
      .score_count = parts.scores.size(),
      .types = parts.types.data(),
      .type_count = parts.types.size(),
      .merges = merges.data(),
      .merge_count = merges.size(),
      .bos = or_none(parts.bos),
      .eos = or_none(parts.eos),
      .unknown = or_none(parts.unknown),
      .separator = or_none(parts.separator),
      .add_bos = or_none(parts.add_bos),
      .add_eos = or_none(parts.add_eos),
      .add_space_prefix = or_none(parts.add_space_prefix),
      .remove_extra_spaces = or_none(parts.remove_extra_spaces),
      .character_map = span_of(parts.character_map),
  };
  return Tokenizer(shared_tokenizer(
      [&](auto out, auto error) { return mlxnx_text_tokenizer_from_parts(&given, out, error); }));
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  mlxnx_text_numbers ids{};
  call("encode", [&](mlxnx_text_bytes* error) {
    return mlxnx_text_encode(raw(handle_.get()), span_of(text), options.add_special, &ids, nullptr,
                             error);
  });
  return take(ids);
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, EncodeOptions options) const {
  mlxnx_text_numbers ids{};
  mlxnx_text_numbers offsets{};
  call("encode", [&](mlxnx_text_bytes* error) {
    return mlxnx_text_encode(raw(handle_.get()), span_of(text), options.add_special, &ids, &offsets,
                             error);
  });
  Encoding encoding;
  encoding.ids = take(ids);
  encoding.offsets = text::take_ranges(offsets);
  return encoding;
}

std::vector<std::vector<std::uint32_t>> Tokenizer::encode_many(std::span<const std::string> texts,
                                                               EncodeOptions options) const {
  std::vector<std::vector<std::uint32_t>> all;
  all.reserve(texts.size());
  for (const std::string& text : texts) all.push_back(encode(text, options));
  return all;
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids, DecodeOptions options) const {
  mlxnx_text_bytes text{};
  call("decode", [&](mlxnx_text_bytes* error) {
    return mlxnx_text_decode(raw(handle_.get()), ids.data(), ids.size(), options.skip_special,
                             &text, error);
  });
  return take(text);
}

std::string Tokenizer::to_json() const {
  mlxnx_text_bytes json{};
  call(kTokenizerOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_tokenizer_to_json(raw(handle_.get()), &json, error);
  });
  return take(json);
}

std::size_t Tokenizer::vocabulary_size() const {
  return mlxnx_text_vocabulary_size(raw(handle_.get()));
}

std::optional<std::uint32_t> Tokenizer::id_of(std::string_view token) const {
  const std::int64_t id = mlxnx_text_id_of(raw(handle_.get()), span_of(token));
  if (id < 0) return std::nullopt;
  return static_cast<std::uint32_t>(id);
}

std::optional<std::string> Tokenizer::token_of(std::uint32_t id) const {
  mlxnx_text_bytes token{};
  if (mlxnx_text_token_of(raw(handle_.get()), id, &token) == 0) return std::nullopt;
  return take(token);
}

std::optional<std::string> Tokenizer::piece_of(std::uint32_t id) const {
  mlxnx_text_bytes piece{};
  if (mlxnx_text_piece_of(raw(handle_.get()), id, &piece) == 0) return std::nullopt;
  return take(piece);
}

bool Tokenizer::is_special(std::uint32_t id) const {
  return mlxnx_text_is_special(raw(handle_.get()), id) != 0;
}

std::vector<AddedToken> Tokenizer::added_tokens() const {
  std::vector<AddedToken> tokens;
  const std::string rows = take(mlxnx_text_added_tokens(raw(handle_.get())));
  for (const nlohmann::json& row : files::parse_json(rows))
    tokens.push_back({.id = files::integer<std::uint32_t>(files::member(row, "id")),
                      .content = files::text_member(row, "content"),
                      .special = files::member(row, "special") == true,
                      .normalized = files::member(row, "normalized") == true,
                      .single_word = files::member(row, "single_word") == true,
                      .strips_left = files::member(row, "lstrip") == true,
                      .strips_right = files::member(row, "rstrip") == true});
  return tokens;
}

Detokenizer::Detokenizer(const Tokenizer& tokenizer, DecodeOptions options)
    : handle_(reinterpret_cast<text::DetokenizerHandle*>(
                  mlxnx_text_detokenizer_new(raw(tokenizer.handle_.get()), options.skip_special)),
              [](text::DetokenizerHandle* end) { mlxnx_text_detokenizer_free(raw(end)); }) {}

std::string Detokenizer::push(std::uint32_t id) {
  mlxnx_text_bytes text{};
  call("detokenize", [&](mlxnx_text_bytes* error) {
    return mlxnx_text_detokenizer_push(raw(handle_.get()), id, &text, error);
  });
  return take(text);
}

std::string Detokenizer::finish() {
  return take(mlxnx_text_detokenizer_finish(raw(handle_.get())));
}

}  // namespace mlxnx
