#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "text/library.h"

namespace mlxnx {

using text::call;
using text::raw;
using text::span_of;

namespace {

constexpr std::string_view kGrammarOp = "grammar";

void free_matcher(text::MatcherHandle* end) { mlxnx_text_matcher_free(raw(end)); }

text::MatcherHandle* handle_of(mlxnx_text_matcher* matcher) {
  if (matcher == nullptr) throw BackendError("[grammar] a matcher can't be made");
  return reinterpret_cast<text::MatcherHandle*>(matcher);
}

}  // namespace

Grammar Grammar::make(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                      std::string_view kind, std::string_view source) {
  return Grammar(text::shared<text::GrammarHandle>(
      kGrammarOp, mlxnx_text_grammar_free, [&](auto out, auto error) {
        return mlxnx_text_grammar_new(raw(tokenizer.handle_.get()), ends.data(), ends.size(),
                                      span_of(kind), span_of(source), out, error);
      }));
}

Grammar Grammar::json_schema(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                             std::string_view schema) {
  return make(tokenizer, ends, "json_schema", schema);
}

Grammar Grammar::lark(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                      std::string_view grammar) {
  return make(tokenizer, ends, "lark", grammar);
}

Grammar Grammar::regex(const Tokenizer& tokenizer, std::span<const std::uint32_t> ends,
                       std::string_view pattern) {
  return make(tokenizer, ends, "regex", pattern);
}

GrammarMatcher::GrammarMatcher(const Grammar& grammar)
    : handle_(handle_of(mlxnx_text_matcher_new(raw(grammar.handle_.get()))), free_matcher),
      words_(mlxnx_text_matcher_mask_words(raw(handle_.get()))) {}

GrammarMatcher::GrammarMatcher(const GrammarMatcher& other)
    : handle_(handle_of(mlxnx_text_matcher_clone(raw(other.handle_.get()))), free_matcher),
      words_(other.words_) {}

GrammarMatcher& GrammarMatcher::operator=(const GrammarMatcher& other) {
  return *this = GrammarMatcher(other);
}

TokenMask GrammarMatcher::mask() {
  TokenMask mask{.words = std::vector<std::uint32_t>(words_)};
  call(kGrammarOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_matcher_mask(raw(handle_.get()), mask.words.data(), words_, error);
  });
  return mask;
}

void GrammarMatcher::accept(std::uint32_t token) {
  call(kGrammarOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_matcher_accept(raw(handle_.get()), token, error);
  });
}

std::size_t GrammarMatcher::count_accepted(std::span<const std::uint32_t> tokens) {
  std::size_t accepted = 0;
  call(kGrammarOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_matcher_count_accepted(raw(handle_.get()), tokens.data(), tokens.size(),
                                             &accepted, error);
  });
  return accepted;
}

void GrammarMatcher::rollback(std::size_t count) {
  call(kGrammarOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_matcher_rollback(raw(handle_.get()), count, error);
  });
}

bool GrammarMatcher::is_stopped() const {
  return mlxnx_text_matcher_is_stopped(raw(handle_.get())) != 0;
}

bool GrammarMatcher::is_accepting() {
  std::int32_t answer = 0;
  call(kGrammarOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_matcher_is_accepting(raw(handle_.get()), &answer, error);
  });
  return answer != 0;
}

}  // namespace mlxnx
