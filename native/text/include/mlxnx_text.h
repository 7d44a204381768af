// Tokenizers, chat templates and grammars: the C interface of a Rust library that is linked into
// libmlxnx.
//
// Every function that can fail answers a status and, where it is not MLXNX_TEXT_OK, writes the
// error's text to `*error` (free it with mlxnx_text_free_bytes); outputs are written only on
// success. Nothing unwinds into the caller: a panic becomes an error. All texts are UTF-8 and need
// no zero at the end. There is no state but that of the objects. Threads: a tokenizer, a template
// and a grammar may be used by many threads at once; a detokenizer and a matcher by one at a time.
// What was made of an object may outlive it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mlxnx_text_status {
  MLXNX_TEXT_OK = 0,
  MLXNX_TEXT_FORMAT = 1,      // a file is not what its format demands
  MLXNX_TEXT_ARGUMENT = 2,    // an argument is wrong, or a template refuses its variables
  MLXNX_TEXT_UNSUPPORTED = 3  // a correct file of a kind that can't be served
} mlxnx_text_status;

// Bytes that the caller owns; `data` may be null where `size` is 0.
typedef struct mlxnx_text_span {
  const char* data;
  size_t size;
} mlxnx_text_span;

// Bytes that this library made: mlxnx_text_free_bytes.
typedef struct mlxnx_text_bytes {
  char* data;
  size_t size;
} mlxnx_text_bytes;

// Numbers that this library made: mlxnx_text_free_numbers.
typedef struct mlxnx_text_numbers {
  uint32_t* data;
  size_t size;
} mlxnx_text_numbers;

void mlxnx_text_free_bytes(mlxnx_text_bytes bytes);
void mlxnx_text_free_numbers(mlxnx_text_numbers numbers);

// ---- Tokenizers ----

typedef struct mlxnx_text_tokenizer mlxnx_text_tokenizer;

// What GGUF's `tokenizer.ggml.*` holds. Absent: no elements; ids and flags -1.
typedef struct mlxnx_text_parts {
  mlxnx_text_span model;          // "gpt2", "llama", "t5" or "bert"
  mlxnx_text_span pre;            // the pre-tokenizer's name, for "gpt2"
  const mlxnx_text_span* tokens;  // in the order of their ids
  size_t token_count;
  const float* scores;  // of each token
  size_t score_count;
  const int32_t* types;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  size_t type_count;
  const mlxnx_text_span* merges;  // "left right", the first ones first
  size_t merge_count;
  int64_t bos, eos, unknown, separator;
  int32_t add_bos, add_eos, add_space_prefix, remove_extra_spaces;
  mlxnx_text_span character_map;  // SentencePiece's precompiled one
} mlxnx_text_parts;

// From the bytes of a `tokenizer.json`.
mlxnx_text_status mlxnx_text_tokenizer_from_json(mlxnx_text_span json, mlxnx_text_tokenizer** out,
                                                 mlxnx_text_bytes* error);
// From the bytes of SentencePiece's `tokenizer.model` (unigram or BPE). The flags say what encoding
// with special tokens puts around a text.
mlxnx_text_status mlxnx_text_tokenizer_from_sentencepiece(mlxnx_text_span model, int32_t add_bos,
                                                          int32_t add_eos,
                                                          mlxnx_text_tokenizer** out,
                                                          mlxnx_text_bytes* error);
// From tiktoken's ranks. `options`: a JSON object or nothing; "pattern" is the name of a
// pre-tokenizer ("cl100k") or a regular expression, "special_tokens" an object of ids by names.
mlxnx_text_status mlxnx_text_tokenizer_from_tiktoken(mlxnx_text_span ranks, mlxnx_text_span options,
                                                     mlxnx_text_tokenizer** out,
                                                     mlxnx_text_bytes* error);
mlxnx_text_status mlxnx_text_tokenizer_from_parts(const mlxnx_text_parts* parts,
                                                  mlxnx_text_tokenizer** out,
                                                  mlxnx_text_bytes* error);
void mlxnx_text_tokenizer_free(mlxnx_text_tokenizer* tokenizer);

// The largest id and 1.
size_t mlxnx_text_vocabulary_size(const mlxnx_text_tokenizer* tokenizer);
// The ids of a text. Where `offsets` is not null: two numbers for each token, where its bytes start
// in the text and where they end.
mlxnx_text_status mlxnx_text_encode(const mlxnx_text_tokenizer* tokenizer, mlxnx_text_span text,
                                    int32_t add_special, mlxnx_text_numbers* ids,
                                    mlxnx_text_numbers* offsets, mlxnx_text_bytes* error);
// Ids without a token have no text.
mlxnx_text_status mlxnx_text_decode(const mlxnx_text_tokenizer* tokenizer, const uint32_t* ids,
                                    size_t count, int32_t skip_special, mlxnx_text_bytes* text,
                                    mlxnx_text_bytes* error);
// -1 where the vocabulary has no such token.
int64_t mlxnx_text_id_of(const mlxnx_text_tokenizer* tokenizer, mlxnx_text_span token);
// 1 where there is such a token, else 0 and nothing is written. A token is as the vocabulary has it
// ("Ġhello").
int32_t mlxnx_text_token_of(const mlxnx_text_tokenizer* tokenizer, uint32_t id,
                            mlxnx_text_bytes* token);
// The same, but the bytes that it stands for (" hello"), which may be a part of a character.
int32_t mlxnx_text_piece_of(const mlxnx_text_tokenizer* tokenizer, uint32_t id,
                            mlxnx_text_bytes* piece);
// 1 for a token that is left out of texts that are to be read.
int32_t mlxnx_text_is_special(const mlxnx_text_tokenizer* tokenizer, uint32_t id);
// A JSON list of {"id", "content", "special", "normalized", "single_word", "lstrip", "rstrip"}.
mlxnx_text_bytes mlxnx_text_added_tokens(const mlxnx_text_tokenizer* tokenizer);

// The contents of a `tokenizer.json` that says the same.
mlxnx_text_status mlxnx_text_tokenizer_to_json(const mlxnx_text_tokenizer* tokenizer,
                                               mlxnx_text_bytes* out, mlxnx_text_bytes* error);

// ---- Text from tokens that come one by one ----

typedef struct mlxnx_text_detokenizer mlxnx_text_detokenizer;

mlxnx_text_detokenizer* mlxnx_text_detokenizer_new(const mlxnx_text_tokenizer* tokenizer,
                                                   int32_t skip_special);
void mlxnx_text_detokenizer_free(mlxnx_text_detokenizer* detokenizer);
// The text that `id` makes whole; it may be empty and never ends in a part of a character.
mlxnx_text_status mlxnx_text_detokenizer_push(mlxnx_text_detokenizer* detokenizer, uint32_t id,
                                              mlxnx_text_bytes* text, mlxnx_text_bytes* error);
// What is left, a replacement character where a character was not made whole; then it is as new.
mlxnx_text_bytes mlxnx_text_detokenizer_finish(mlxnx_text_detokenizer* detokenizer);

// ---- Chat templates ----

typedef struct mlxnx_text_template mlxnx_text_template;

mlxnx_text_status mlxnx_text_template_new(mlxnx_text_span source, mlxnx_text_template** out,
                                          mlxnx_text_bytes* error);
void mlxnx_text_template_free(mlxnx_text_template* chat_template);
// `variables`: a JSON object ("messages", "tools", "add_generation_prompt",
// "continue_final_message", ...). `clock`: the time that strftime_now tells, as
// 2026-03-05T14:07:09. `generated`: two numbers for each {% generation %} block, where its bytes
// start in the text and where they end.
mlxnx_text_status mlxnx_text_template_render(const mlxnx_text_template* chat_template,
                                             mlxnx_text_span variables, mlxnx_text_span clock,
                                             mlxnx_text_bytes* text, mlxnx_text_numbers* generated,
                                             mlxnx_text_bytes* error);

// ---- Grammars ----

typedef struct mlxnx_text_grammar mlxnx_text_grammar;
typedef struct mlxnx_text_matcher mlxnx_text_matcher;

// `kind`: "json_schema", "lark" or "regex". `ends`: the tokens that end a text.
mlxnx_text_status mlxnx_text_grammar_new(const mlxnx_text_tokenizer* tokenizer,
                                         const uint32_t* ends, size_t end_count,
                                         mlxnx_text_span kind, mlxnx_text_span source,
                                         mlxnx_text_grammar** out, mlxnx_text_bytes* error);
void mlxnx_text_grammar_free(mlxnx_text_grammar* grammar);

// Follows a text from its start. Here and below: null where memory ends or the library fails.
mlxnx_text_matcher* mlxnx_text_matcher_new(const mlxnx_text_grammar* grammar);
// Follows on from where another one is.
mlxnx_text_matcher* mlxnx_text_matcher_clone(const mlxnx_text_matcher* matcher);
void mlxnx_text_matcher_free(mlxnx_text_matcher* matcher);
// How many words of 32 bits a mask has.
size_t mlxnx_text_matcher_mask_words(const mlxnx_text_matcher* matcher);
// Sets bit id % 32 of word id / 32 for each token that may come next, and clears the others.
// `count`: how many words there are. Where the text is over: the tokens that end it.
mlxnx_text_status mlxnx_text_matcher_mask(mlxnx_text_matcher* matcher, uint32_t* words,
                                          size_t count, mlxnx_text_bytes* error);
// An argument error, and nothing changes, where the token may not come next.
mlxnx_text_status mlxnx_text_matcher_accept(mlxnx_text_matcher* matcher, uint32_t token,
                                            mlxnx_text_bytes* error);
// How many of these tokens may come next, one after the other; nothing changes.
mlxnx_text_status mlxnx_text_matcher_count_accepted(mlxnx_text_matcher* matcher,
                                                    const uint32_t* tokens, size_t count,
                                                    size_t* accepted, mlxnx_text_bytes* error);
// Takes the last tokens back.
mlxnx_text_status mlxnx_text_matcher_rollback(mlxnx_text_matcher* matcher, size_t count,
                                              mlxnx_text_bytes* error);
// 1 where nothing can follow.
int32_t mlxnx_text_matcher_is_stopped(const mlxnx_text_matcher* matcher);
// `*answer` becomes 1 where the text may end here.
mlxnx_text_status mlxnx_text_matcher_is_accepting(mlxnx_text_matcher* matcher, int32_t* answer,
                                                  mlxnx_text_bytes* error);

#ifdef __cplusplus
}
#endif
