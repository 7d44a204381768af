// The Rust library's objects and errors as this one's: owners, spans, exceptions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx_text.h"

namespace mlxnx::text {

inline mlxnx_text_span span_of(std::string_view text) { return {text.data(), text.size()}; }

/// The text, which is freed.
std::string take(mlxnx_text_bytes bytes);
std::vector<std::uint32_t> take(mlxnx_text_numbers numbers);
/// Numbers that are starts and ends in turn.
std::vector<std::pair<std::size_t, std::size_t>> take_ranges(mlxnx_text_numbers numbers);

/// Throws what `status` says, with "[op] " and the error's text, which is freed.
void check(mlxnx_text_status status, mlxnx_text_bytes error, std::string_view op);

/// `f(error)`, checked.
template <typename F>
void call(std::string_view op, F f) {
  mlxnx_text_bytes error{nullptr, 0};
  check(f(&error), error, op);
}

/// The C object behind each of the public header's handles.
struct TokenizerHandle;
struct DetokenizerHandle;
struct TemplateHandle;
struct GrammarHandle;
struct MatcherHandle;

inline mlxnx_text_tokenizer* raw(const TokenizerHandle* handle) {
  return reinterpret_cast<mlxnx_text_tokenizer*>(const_cast<TokenizerHandle*>(handle));
}
inline mlxnx_text_detokenizer* raw(const DetokenizerHandle* handle) {
  return reinterpret_cast<mlxnx_text_detokenizer*>(const_cast<DetokenizerHandle*>(handle));
}
inline mlxnx_text_template* raw(const TemplateHandle* handle) {
  return reinterpret_cast<mlxnx_text_template*>(const_cast<TemplateHandle*>(handle));
}
inline mlxnx_text_grammar* raw(const GrammarHandle* handle) {
  return reinterpret_cast<mlxnx_text_grammar*>(const_cast<GrammarHandle*>(handle));
}
inline mlxnx_text_matcher* raw(const MatcherHandle* handle) {
  return reinterpret_cast<mlxnx_text_matcher*>(const_cast<MatcherHandle*>(handle));
}

/// Shares what `make(out, error)` makes, until `free` ends it.
template <typename Handle, typename Raw, typename Make>
std::shared_ptr<const Handle> shared(std::string_view op, void (*free)(Raw*), Make make) {
  Raw* made = nullptr;
  call(op, [&](mlxnx_text_bytes* error) { return make(&made, error); });
  return {reinterpret_cast<const Handle*>(made), [free](const Handle* end) { free(raw(end)); }};
}

}  // namespace mlxnx::text
