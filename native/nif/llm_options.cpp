#include "nif/llm_options.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

#include "files/nearest.h"
#include "mlxnx/error.h"
#include "nif/json_term.h"

namespace mlxnx::nif {

// `%{token => number}`
template <>
struct Codec<std::map<std::uint32_t, double>> {
  static std::map<std::uint32_t, double> decode(ErlNifEnv* env, Term term) {
    ErlNifMapIterator place;
    if (!enif_map_iterator_create(env, term, &place, ERL_NIF_MAP_ITERATOR_FIRST))
      throw_unexpected(term, "a map of tokens to numbers");
    std::vector<std::pair<Term, Term>> pairs;
    Term key, value;
    while (enif_map_iterator_get_pair(env, &place, &key, &value)) {
      pairs.emplace_back(key, value);
      enif_map_iterator_next(env, &place);
    }
    enif_map_iterator_destroy(env, &place);
    std::map<std::uint32_t, double> numbers;
    for (const auto& [token, number] : pairs)
      numbers[nif::decode<std::uint32_t>(env, token)] = nif::decode<double>(env, number);
    return numbers;
  }
};

namespace {

// A list of texts, or one.
struct Texts {
  static std::vector<std::string> of(ErlNifEnv* env, Term term) {
    if (enif_is_binary(env, term)) return {decode<std::string>(env, term)};
    return decode<std::vector<std::string>>(env, term);
  }
};

// A text that is there, since none at all would stand for no option.
struct SomeText {
  static std::string of(ErlNifEnv* env, Term term) {
    std::string text = enif_is_binary(env, term) ? decode<std::string>(env, term) : "";
    if (text.empty()) throw_unexpected(term, "a text");
    return text;
  }
};

// A term that stands for JSON, or its text.
struct Json {
  static std::string of(ErlNifEnv* env, Term term) {
    return enif_is_binary(env, term) ? SomeText::of(env, term) : json_of(env, term);
  }
};

template <typename T>
struct Plain {
  static T of(ErlNifEnv* env, Term term) { return decode<T>(env, term); }
};
template <typename T>
struct Plain<std::optional<T>> : Plain<T> {};

using Set = void (*)(ErlNifEnv*, Term, LlmOptions&);

// Puts what the term says to `place`, by the place's type unless a reader is given.
template <auto place, typename Reader = void>
void set(ErlNifEnv* env, Term term, LlmOptions& options) {
  auto& slot = place(options);
  using Slot = std::remove_reference_t<decltype(slot)>;
  slot = std::conditional_t<std::is_void_v<Reader>, Plain<Slot>, Reader>::of(env, term);
}

struct Option {
  std::string_view name;
  Asks about;
  Set set;
};

using O = LlmOptions;
constexpr auto kAnswer = Asks::kAnswer;
constexpr auto kChat = Asks::kChat;

constexpr auto tokens = [](O& o) -> llm::GenerateOptions& { return o.text.tokens; };
constexpr auto sampler = [](O& o) -> llm::SamplerOptions& { return o.text.tokens.sampler; };
constexpr auto processors = [](O& o) -> llm::ProcessorOptions& { return o.text.tokens.processors; };

constexpr Option kOptions[] = {
    {"max_tokens", kAnswer, &set < [](O& o) -> auto& {return tokens(o).max_tokens;
}  // namespace
>
}  // namespace mlxnx::nif
, {"temp", kAnswer, &set < [](O& o) -> auto& {return sampler(o).temp;
}
>
}
, {"top_p", kAnswer, &set < [](O& o) -> auto& {return sampler(o).top_p;
}
>
}
, {"min_p", kAnswer, &set < [](O& o) -> auto& {return sampler(o).min_p;
}
>
}
, {"min_tokens_to_keep", kAnswer, &set < [](O& o) -> auto& {return sampler(o).min_tokens_to_keep;
}
>
}
, {"top_k", kAnswer, &set < [](O& o) -> auto& {return sampler(o).top_k;
}
>
}
, {"xtc_probability", kAnswer, &set < [](O& o) -> auto& {return sampler(o).xtc_probability;
}
>
}
, {"xtc_threshold", kAnswer, &set < [](O& o) -> auto& {return sampler(o).xtc_threshold;
}
>
}
, {"xtc_special_tokens", kAnswer, &set < [](O& o) -> auto& {return sampler(o).xtc_special_tokens;
}
>
}
, {"logit_bias", kAnswer, &set < [](O& o) -> auto& {return processors(o).logit_bias;
}
>
}
, {"repetition_penalty", kAnswer, &set < [](O& o) -> auto& {return processors(o).repetition_penalty;
}
>
}
, {"repetition_context_size", kAnswer,
   &set < [](O& o) -> auto& {return processors(o).repetition_context_size;
}
>
}
, {"presence_penalty", kAnswer, &set < [](O& o) -> auto& {return processors(o).presence_penalty;
}
>
}
, {"presence_context_size", kAnswer,
   &set < [](O& o) -> auto& {return processors(o).presence_context_size;
}
>
}
, {"frequency_penalty", kAnswer, &set < [](O& o) -> auto& {return processors(o).frequency_penalty;
}
>
}
, {"frequency_context_size", kAnswer,
   &set < [](O& o) -> auto& {return processors(o).frequency_context_size;
}
>
}
,
    {"seed", kAnswer,
     [](ErlNifEnv* env, Term term, O& o) { tokens(o).seed = decode<Bytes>(env, term).count; }},
    {"stop", kAnswer, &set < [](O& o) -> auto& {return o.text.stop;
}
, Texts >
}
, {"extra_eos_tokens", kAnswer, &set < [](O& o) -> auto& {return o.text.extra_eos_tokens;
}
, Texts >
}
, {"skip_special_tokens", kAnswer, &set < [](O& o) -> auto& {return o.text.skip_special_tokens;
}
>
}
, {"max_kv_size", kAnswer, &set < [](O& o) -> auto& {return tokens(o).max_kv_size;
}
>
}
, {"kv_bits", kAnswer, &set < [](O& o) -> auto& {return o.kv_bits;
}
>
}
, {"kv_group_size", kAnswer, &set < [](O& o) -> auto& {return o.kv_group_size;
}
>
}
, {"quantized_kv_start", kAnswer, &set < [](O& o) -> auto& {return tokens(o).quantized_kv_start;
}
>
}
, {"prefill_step_size", kAnswer, &set < [](O& o) -> auto& {return tokens(o).prefill_step_size;
}
>
}
, {"draft_model", kAnswer, &set < [](O& o) -> auto& {return o.draft_model;
}
>
}
, {"num_draft_tokens", kAnswer, &set < [](O& o) -> auto& {return o.num_draft_tokens;
}
>
}
, {"ngram", kAnswer, &set < [](O& o) -> auto& {return o.ngram;
}
>
}
, {"json_schema", kAnswer, &set < [](O& o) -> auto& {return o.constraint.json_schema;
}
, Json >
}
, {"grammar", kAnswer, &set < [](O& o) -> auto& {return o.constraint.grammar;
}
, SomeText >
}
, {"regex", kAnswer, &set < [](O& o) -> auto& {return o.constraint.regex;
}
, SomeText >
}
, {"thinking_budget", kAnswer, &set < [](O& o) -> auto& {return o.thinking_budget;
}
>
}
, {"top_logprobs", kAnswer, &set < [](O& o) -> auto& {return o.top_logprobs;
}
>
}
, {"prompt_cache", kAnswer, &set < [](O& o) -> auto& {return o.prompt_cache;
}
, SomeText >
}
, {"add_generation_prompt", kChat, &set < [](O& o) -> auto& {return o.chat.add_generation_prompt;
}
>
}
, {"continue_final_message", kChat, &set < [](O& o) -> auto& {return o.chat.continue_final_message;
}
>
}
, {"tools", kChat, &set < [](O& o) -> auto& {return o.chat.tools;
}
, Json >
}
, {"template_variables", kChat, &set < [](O& o) -> auto& {return o.chat.variables;
}
, Json >
}
, {"chat_template", kChat, &set < [](O& o) -> auto& {return o.chat.chat_template;
}
, SomeText >
}
,
}
;

const Option& option_of(std::string_view name, Asks asks) {
  std::vector<std::string_view> names;
  for (const Option& option : kOptions) {
    if ((static_cast<int>(option.about) & static_cast<int>(asks)) == 0) continue;
    if (option.name == name) return option;
    names.push_back(option.name);
  }
  throw ArgumentError(
      fmt::format("there is no option :{}{}", name, files::nearest_hint(name, names)));
}

}  // namespace

LlmOptions decode_llm_options(ErlNifEnv* env, Term options, Asks asks) {
  LlmOptions result;
  Term head, tail = options;
  while (enif_get_list_cell(env, tail, &head, &tail)) {
    const auto pair = decode_tuple(env, head, 2, "an option with its value");
    const Option& option = option_of(decode<std::string>(env, pair[0]), asks);
    if (pair[1] == atoms.nil) continue;
    try {
      option.set(env, pair[1], result);
    } catch (const ArgumentError& error) {
      throw ArgumentError(fmt::format(":{}: {}", option.name, error.what()));
    }
  }
  if (!enif_is_empty_list(env, tail)) throw_unexpected(options, "a list of options");
  if (result.top_logprobs && *result.top_logprobs < 0)
    throw ArgumentError(fmt::format(":top_logprobs: {} is negative", *result.top_logprobs));
  if (result.draft_model && result.ngram)
    throw ArgumentError(":draft_model and :ngram exclude each other: give one");
  return result;
}

llm::TextOptions LlmOptions::text_options(const llm::TextModel& model) const {
  llm::TextOptions all = text;
  if (kv_bits)
    all.tokens.kv_quantization = llm::KvQuantization{.bits = *kv_bits, .group_size = kv_group_size};
  if (draft_model) {
    all.tokens.speculation =
        llm::Speculation{.draft_model = draft_model->model(), .num_draft_tokens = num_draft_tokens};
  } else if (ngram) {
    all.tokens.speculation =
        llm::Speculation{.num_draft_tokens = num_draft_tokens, .ngram_size = *ngram};
  }
  all.tokens.grammar = model.grammar(constraint);
  if (thinking_budget) all.tokens.thinking = model.thinking_budget(*thinking_budget);
  return all;
}

}  // namespace mlxnx::nif
