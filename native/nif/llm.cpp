// Language models: loaded, asked, and followed token by token. A prompt is `{:text, text}`,
// `{:tokens, list}` or `{:chat, messages}`. A request is what was asked, checked and ready; each
// generation of it is a value of its own. What computes runs on dirty schedulers, a token or a part
// of the prompt at a time, so that a caller that stops asking ends the work.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/llm/text_model.h"
#include "mlxnx/mlxnx.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/json_term.h"
#include "nif/llm_options.h"
#include "nif/pressure.h"
#include "nif/resource.h"
#include "nif/stream.h"

namespace mlxnx::nif {
namespace {

using Memory = std::shared_ptr<llm::PromptCache>;

struct Request {
  llm::TextModel model;
  std::vector<std::uint32_t> prompt;
  llm::TextOptions options;
  std::optional<llm::Cache> cache = {};  ///< what comes before the prompt, and holds so much of it
  std::size_t known = 0;
  Memory memory = {};  ///< in place of a cache
  std::optional<std::int64_t> top_logprobs = {};

  llm::TextGenerator begin() const {
    return memory ? llm::TextGenerator(model, prompt, options, memory)
                  : llm::TextGenerator(model, prompt, options, cache, known);
  }
};

// A text that grows. It belongs to no process: those that ask at once take turns.
class Generation {
 public:
  Generation(const Request& request, Where where)
      : where_(std::move(where)), top_logprobs_(request.top_logprobs) {
    const WhereScope scope(where_);
    text_.emplace(request.begin());
  }

  /// What comes next: `{:prompt, done, total}`, or `{:piece, token, text, reason, logprob, top}`
  /// where what is not there is nil; nothing at the end. More than one of them where these come
  /// within so many milliseconds and the caller lives, since each change of schedulers costs time.
  std::vector<Term> next(ErlNifEnv* env, std::int64_t milliseconds) {
    const std::lock_guard lock(mutex_);
    if (!text_) throw ArgumentError("this generation has ended: begin another one");
    const WhereScope scope(where_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    std::vector<Term> events;
    try {
      do {
        const std::optional<Term> event = step(env);
        if (!event) break;
        events.push_back(*event);
      } while (std::chrono::steady_clock::now() < end && enif_is_current_process_alive(env));
      return events;
    } catch (...) {
      // Its cache may hold half of a step.
      text_.reset();
      throw;
    }
  }

  /// Nothing once it has failed or was closed.
  std::optional<llm::GenerationStats> stats() {
    const std::lock_guard lock(mutex_);
    return text_ ? std::optional(text_->stats()) : std::nullopt;
  }

  void close() {
    const std::lock_guard lock(mutex_);
    text_.reset();
  }

 private:
  std::optional<Term> step(ErlNifEnv* env) {
    if (const auto progress = text_->prefill_part()) {
      return enif_make_tuple3(env, enif_make_atom(env, "prompt"),
                              encode(env, Bytes{progress->done}),
                              encode(env, Bytes{progress->total}));
    }
    const std::optional<llm::TextPiece> piece = text_->next();
    return piece ? std::optional(term_of(env, *piece)) : std::nullopt;
  }

  Term term_of(ErlNifEnv* env, const llm::TextPiece& piece) const {
    const bool is_last = piece.finish_reason != llm::FinishReason::kNone;
    const Term reason =
        is_last ? enif_make_atom(env, std::string(name(piece.finish_reason)).c_str()) : atoms.nil;
    if (!piece.token)
      return enif_make_tuple6(env, enif_make_atom(env, "piece"), atoms.nil, encode(env, piece.text),
                              reason, atoms.nil, atoms.nil);
    Term logprob = atoms.nil, top = atoms.nil;
    if (top_logprobs_) {
      const std::vector<float> all = as_type(piece.token->logprobs, DType::f32).to_vector<float>();
      logprob = encode(env, double{all.at(piece.token->id)});
      top = top_of(env, all, static_cast<std::size_t>(*top_logprobs_));
    }
    return enif_make_tuple6(env, enif_make_atom(env, "piece"), encode(env, piece.token->id),
                            encode(env, piece.text), reason, logprob, top);
  }

  /// `{token, logprob}` of the most probable ones that are possible at all; of equals the first.
  static Term top_of(ErlNifEnv* env, const std::vector<float>& logprobs, std::size_t count) {
    std::vector<std::uint32_t> ids(logprobs.size());
    std::iota(ids.begin(), ids.end(), 0u);
    std::erase_if(ids, [&](std::uint32_t id) { return !std::isfinite(logprobs[id]); });
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(count, ids.size()));
    std::partial_sort(ids.begin(), end, ids.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::pair(-logprobs[a], a) < std::pair(-logprobs[b], b);
    });
    std::vector<Term> pairs;
    for (auto id = ids.begin(); id != end; ++id)
      pairs.push_back(enif_make_tuple2(env, encode(env, *id), encode(env, double{logprobs[*id]})));
    return encode(env, pairs);
  }

  std::mutex mutex_;
  Where where_;
  std::optional<std::int64_t> top_logprobs_;
  std::optional<llm::TextGenerator> text_;
};

}  // namespace

llm::TextModel Codec<llm::TextModel>::decode(ErlNifEnv* env, Term term) {
  return Resource<llm::TextModel>::get(env, term, "a language model");
}

Memory Codec<Memory>::decode(ErlNifEnv* env, Term term) {
  return Resource<Memory>::get(env, term, "a cache of Mlx.LLM.new_cache/1");
}

namespace {

std::vector<std::uint32_t> prompt_of(ErlNifEnv* env, const llm::TextModel& model, Term prompt,
                                     const LlmOptions& options) {
  const auto [kind, content] = [&] {
    const auto parts = decode_tuple(env, prompt, 2, "a prompt");
    return std::pair(decode<std::string>(env, parts[0]), parts[1]);
  }();
  if (kind == "chat") return model.chat_prompt(json_of(env, content), options.chat);
  if (kind == "tokens") return decode<std::vector<std::uint32_t>>(env, content);
  if (kind != "text") throw_unexpected(prompt, "a prompt");
  const std::string text = decode<std::string>(env, content);
  // What stands before it has begun the text already.
  return options.prompt_cache.empty() ? model.prompt(text)
                                      : model.tokenizer().encode(text, {.add_special = false});
}

// NIF functions

bool llm_available(ErlNifEnv*) { return has_text(); }

Term llm_load(ErlNifEnv* env, std::string path, std::optional<std::string> adapter, bool requantize,
              Where where) {
  const WhereScope scope(where);
  llm::TextModel model = llm::TextModel::load(path, load_options(adapter, requantize));
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : model.model().named_tensors()) bytes += tensor.byte_size();
  return with_pressure(env, note_built(bytes),
                       Resource<llm::TextModel>::make(env, std::move(model)));
}

Config llm_config(ErlNifEnv*, llm::TextModel model) { return model.model().config(); }

// `{family, tokens that end a text}`
Term llm_info(ErlNifEnv* env, llm::TextModel model) {
  return enif_make_tuple2(env, encode(env, std::string(model.model().family())),
                          encode(env, model.eos_tokens()));
}

std::vector<std::uint32_t> llm_encode(ErlNifEnv*, llm::TextModel model, std::string text,
                                      bool add_special) {
  return add_special ? model.prompt(text) : model.tokenizer().encode(text, {.add_special = false});
}

std::string llm_decode(ErlNifEnv*, llm::TextModel model, std::vector<std::uint32_t> tokens,
                       bool skip_special) {
  return model.tokenizer().decode(tokens, {.skip_special = skip_special});
}

// The prompt that messages come to, as a text or as tokens.
Term llm_chat_prompt(ErlNifEnv* env, llm::TextModel model, Term messages, Term options,
                     bool tokenize) {
  const llm::ChatOptions chat = decode_llm_options(env, options, Asks::kChat).chat;
  const std::string json = json_of(env, messages);
  return tokenize ? encode(env, model.chat_prompt(json, chat))
                  : encode(env, model.chat_text(json, chat));
}

Request request_of(ErlNifEnv* env, const llm::TextModel& model, Term prompt, Term options,
                   Asks asks) {
  const LlmOptions asked = decode_llm_options(env, options, asks);
  Request request{model, prompt_of(env, model, prompt, asked), asked.text_options(model)};
  request.memory = asked.cache;
  request.top_logprobs = asked.top_logprobs;
  if (asked.prompt_cache.empty()) return request;
  if (request.options.tokens.max_kv_size) {
    throw ArgumentError(
        ":prompt_cache: what is in the file keeps its size: give :max_kv_size to cache_prompt");
  }
  llm::SavedCache saved = llm::load_prompt_cache(asked.prompt_cache);
  if (asks != Asks::kBoth) {
    request.cache = std::move(saved.cache);
    return request;
  }
  // Messages are the whole prompt, also what of them the file holds.
  if (saved.tokens.empty()) {
    throw ArgumentError(
        ":prompt_cache: the file does not tell its tokens, so that messages can't go on with it; "
        "files of cache_prompt do");
  }
  llm::PromptCache held(model.model());
  held.put(std::move(saved.cache), std::move(saved.tokens), request.options.tokens);
  llm::PromptCache::Beginning beginning = held.take(request.prompt, request.options.tokens);
  request.cache = std::move(beginning.cache);
  request.known = beginning.known;
  return request;
}

Term llm_request(ErlNifEnv* env, llm::TextModel model, Term prompt, Term options, bool is_chat,
                 Where where) {
  const WhereScope scope(where);
  return Resource<Request>::make(
      env, request_of(env, model, prompt, options, is_chat ? Asks::kBoth : Asks::kAnswer));
}

Term llm_start(ErlNifEnv* env, Term request, Where where) {
  return Resource<Generation>::make(env, Resource<Request>::get(env, request, "a request"), where);
}

Generation& generation_of(ErlNifEnv* env, Term term) {
  return Resource<Generation>::get(env, term, "a generation");
}

std::vector<Term> llm_next(ErlNifEnv* env, Term generation, std::int64_t milliseconds) {
  return generation_of(env, generation).next(env, milliseconds);
}

Term llm_stats(ErlNifEnv* env, Term generation) {
  const auto told = generation_of(env, generation).stats();
  if (!told) return atoms.nil;
  const llm::GenerationStats& stats = *told;
  const std::pair<const char*, Term> members[] = {
      {"prompt_tokens", encode(env, Bytes{stats.prompt_tokens})},
      {"cached_tokens", encode(env, Bytes{stats.cached_tokens})},
      {"generation_tokens", encode(env, Bytes{stats.generation_tokens})},
      {"prompt_seconds", encode(env, stats.prompt_seconds)},
      {"generation_seconds", encode(env, stats.generation_seconds)},
      {"prompt_tps", encode(env, stats.prompt_tps())},
      {"generation_tps", encode(env, stats.generation_tps())},
      {"accepted_drafts", encode(env, Bytes{stats.accepted_drafts})},
      {"peak_memory", encode(env, Bytes{stats.peak_memory})},
  };
  Term map = enif_make_new_map(env);
  for (const auto& [key, value] : members)
    enif_make_map_put(env, map, enif_make_atom(env, key), value, &map);
  return map;
}

void llm_close(ErlNifEnv* env, Term generation) { generation_of(env, generation).close(); }

// Writes what the model remembers of a prompt. Answers its number of tokens.
std::int64_t llm_cache_prompt(ErlNifEnv* env, llm::TextModel model, Term prompt, Term options,
                              std::string path, Where where) {
  const WhereScope scope(where);
  Request request = request_of(env, model, prompt, options, Asks::kAnswer);
  llm::require_prompt_cache_place(path);
  if (request.memory)
    throw ArgumentError("[cache_prompt] :cache is for answers: the file is the cache of a prompt");
  bool is_alive = true;
  request.options.tokens.on_prompt = [&](std::uint64_t, std::uint64_t) {
    return is_alive = enif_is_current_process_alive(env) != 0;
  };
  const llm::Cache cache =
      llm::prefill(model.model(), request.prompt, request.options.tokens, request.cache);
  // With another cache before the prompt, not all tokens are known.
  if (is_alive)
    llm::save_prompt_cache(path, cache, {},
                           request.cache ? std::span<const std::uint32_t>() : request.prompt);
  return std::ssize(request.prompt);
}

// What later prompts of a conversation go on from.
Term llm_new_cache(ErlNifEnv* env, llm::TextModel model) {
  return Resource<Memory>::make(env, std::make_shared<llm::PromptCache>(model.model()));
}

// `{tokens, bytes}`
Term llm_cache_info(ErlNifEnv* env, Memory memory) {
  const llm::PromptCache::Info info = memory->info();
  return enif_make_tuple2(env, encode(env, Bytes{info.tokens}), encode(env, Bytes{info.bytes}));
}

}  // namespace

bool open_llm_resources(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<llm::TextModel>::open(env, "language_model", flags) &&
         Resource<Memory>::open(env, "llm_cache", flags) &&
         Resource<Request>::open(env, "llm_request", flags) &&
         Resource<Generation>::open(env, "llm_generation", flags);
}

std::span<const ErlNifFunc> llm_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"llm_available", &llm_available>(),
      nif_function<"llm_load", &llm_load, WaitsForFiles{}>(),
      nif_function<"llm_config", &llm_config, NeverQuick{}>(),
      nif_function<"llm_info", &llm_info>(),
      nif_function<"llm_encode", &llm_encode, NeverQuick{}>(),
      nif_function<"llm_decode", &llm_decode, NeverQuick{}>(),
      nif_function<"llm_chat_prompt", &llm_chat_prompt, NeverQuick{}>(),
      nif_function<"llm_request", &llm_request, NeverQuick{}>(),
      nif_function<"llm_start", &llm_start, NeverQuick{}>(),
      nif_function<"llm_next", &llm_next, NeverQuick{}>(),
      nif_function<"llm_stats", &llm_stats, NeverQuick{}>(),
      nif_function<"llm_close", &llm_close, NeverQuick{}>(),
      nif_function<"llm_cache_prompt", &llm_cache_prompt, NeverQuick{}>(),
      nif_function<"llm_new_cache", &llm_new_cache>(),
      nif_function<"llm_cache_info", &llm_cache_info>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
