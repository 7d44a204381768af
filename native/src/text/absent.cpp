// The C interface of the Rust library in a build without it: what makes an object refuses, and the
// rest, which needs one, is never reached.
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "mlxnx_text.h"

namespace {

constexpr std::string_view kWhy =
    "this build has no tokenizers, chat templates and grammars: install cargo 1.87 or newer (on "
    "Debian: apt-get install cargo-web) and build anew";

mlxnx_text_status refuse(mlxnx_text_bytes* error) {
  error->data = static_cast<char*>(std::malloc(kWhy.size()));
  error->size = error->data == nullptr ? 0 : kWhy.size();
  if (error->data != nullptr) std::memcpy(error->data, kWhy.data(), kWhy.size());
  return MLXNX_TEXT_UNSUPPORTED;
}

}  // namespace

#define MLXNX_REFUSED(name, ...) \
  mlxnx_text_status name(__VA_ARGS__, mlxnx_text_bytes* error) { return refuse(error); }
#define MLXNX_UNREACHED(type, name, ...) \
  type name(__VA_ARGS__) { std::abort(); }

void mlxnx_text_free_bytes(mlxnx_text_bytes bytes) { std::free(bytes.data); }
void mlxnx_text_free_numbers(mlxnx_text_numbers) {}

MLXNX_REFUSED(mlxnx_text_tokenizer_from_json, mlxnx_text_span, mlxnx_text_tokenizer**)
MLXNX_REFUSED(mlxnx_text_tokenizer_from_sentencepiece, mlxnx_text_span, int32_t, int32_t,
              mlxnx_text_tokenizer**)
MLXNX_REFUSED(mlxnx_text_tokenizer_from_tiktoken, mlxnx_text_span, mlxnx_text_span,
              mlxnx_text_tokenizer**)
MLXNX_REFUSED(mlxnx_text_tokenizer_from_parts, const mlxnx_text_parts*, mlxnx_text_tokenizer**)
MLXNX_REFUSED(mlxnx_text_template_new, mlxnx_text_span, mlxnx_text_template**)
MLXNX_REFUSED(mlxnx_text_grammar_new, const mlxnx_text_tokenizer*, const uint32_t*, size_t,
              mlxnx_text_span, mlxnx_text_span, mlxnx_text_grammar**)

MLXNX_UNREACHED(void, mlxnx_text_tokenizer_free, mlxnx_text_tokenizer*)
MLXNX_UNREACHED(size_t, mlxnx_text_vocabulary_size, const mlxnx_text_tokenizer*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_encode, const mlxnx_text_tokenizer*, mlxnx_text_span,
                int32_t, mlxnx_text_numbers*, mlxnx_text_numbers*, mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_decode, const mlxnx_text_tokenizer*, const uint32_t*,
                size_t, int32_t, mlxnx_text_bytes*, mlxnx_text_bytes*)
MLXNX_UNREACHED(int64_t, mlxnx_text_id_of, const mlxnx_text_tokenizer*, mlxnx_text_span)
MLXNX_UNREACHED(int32_t, mlxnx_text_token_of, const mlxnx_text_tokenizer*, uint32_t,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(int32_t, mlxnx_text_piece_of, const mlxnx_text_tokenizer*, uint32_t,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(int32_t, mlxnx_text_is_special, const mlxnx_text_tokenizer*, uint32_t)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_tokenizer_to_json, const mlxnx_text_tokenizer*,
                mlxnx_text_bytes*, mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_bytes, mlxnx_text_added_tokens, const mlxnx_text_tokenizer*)
MLXNX_UNREACHED(mlxnx_text_detokenizer*, mlxnx_text_detokenizer_new, const mlxnx_text_tokenizer*,
                int32_t)
MLXNX_UNREACHED(void, mlxnx_text_detokenizer_free, mlxnx_text_detokenizer*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_detokenizer_push, mlxnx_text_detokenizer*, uint32_t,
                mlxnx_text_bytes*, mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_bytes, mlxnx_text_detokenizer_finish, mlxnx_text_detokenizer*)
MLXNX_UNREACHED(void, mlxnx_text_template_free, mlxnx_text_template*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_template_render, const mlxnx_text_template*,
                mlxnx_text_span, mlxnx_text_span, mlxnx_text_bytes*, mlxnx_text_numbers*,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(void, mlxnx_text_grammar_free, mlxnx_text_grammar*)
MLXNX_UNREACHED(mlxnx_text_matcher*, mlxnx_text_matcher_new, const mlxnx_text_grammar*)
MLXNX_UNREACHED(mlxnx_text_matcher*, mlxnx_text_matcher_clone, const mlxnx_text_matcher*)
MLXNX_UNREACHED(void, mlxnx_text_matcher_free, mlxnx_text_matcher*)
MLXNX_UNREACHED(size_t, mlxnx_text_matcher_mask_words, const mlxnx_text_matcher*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_matcher_mask, mlxnx_text_matcher*, uint32_t*, size_t,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_matcher_accept, mlxnx_text_matcher*, uint32_t,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_matcher_count_accepted, mlxnx_text_matcher*,
                const uint32_t*, size_t, size_t*, mlxnx_text_bytes*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_matcher_rollback, mlxnx_text_matcher*, size_t,
                mlxnx_text_bytes*)
MLXNX_UNREACHED(int32_t, mlxnx_text_matcher_is_stopped, const mlxnx_text_matcher*)
MLXNX_UNREACHED(mlxnx_text_status, mlxnx_text_matcher_is_accepting, mlxnx_text_matcher*, int32_t*,
                mlxnx_text_bytes*)
