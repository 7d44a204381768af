#include "nif/llm_options.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "mlxnx/error.h"
#include "nif/json_term.h"
#include "nif/option_table.h"

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
  template <typename>
  static std::vector<std::string> read(ErlNifEnv* env, Term term) {
    if (enif_is_binary(env, term)) return {decode<std::string>(env, term)};
    return decode<std::vector<std::string>>(env, term);
  }
};

// A term that stands for JSON, or its text.
struct Json {
  template <typename>
  static std::string read(ErlNifEnv* env, Term term) {
    return enif_is_binary(env, term) ? SomeText::read<std::string>(env, term) : json_of(env, term);
  }
};

struct Natural {
  template <typename>
  static std::uint64_t read(ErlNifEnv* env, Term term) {
    return decode<Bytes>(env, term).count;
  }
};

using O = LlmOptions;
using Text = llm::TextOptions;
using Tokens = llm::GenerateOptions;
using Sampler = llm::SamplerOptions;
using Processors = llm::ProcessorOptions;
using Row = OptionRow<O>;

constexpr Row row(std::string_view name, Asks asks, decltype(Row::set) set) {
  return {name, static_cast<std::uint8_t>(asks), set};
}
template <auto member, typename Reader = Plain>
constexpr Row own(std::string_view name) {
  return row(name, Asks::kAnswer, &set_member<O, Reader, member>);
}
template <auto member, typename Reader = Plain>
constexpr Row text(std::string_view name) {
  return row(name, Asks::kAnswer, &set_member<O, Reader, &O::text, member>);
}
template <auto member, typename Reader = Plain>
constexpr Row tokens(std::string_view name) {
  return row(name, Asks::kAnswer, &set_member<O, Reader, &O::text, &Text::tokens, member>);
}
template <auto member>
constexpr Row sampler(std::string_view name) {
  return row(name, Asks::kAnswer,
             &set_member<O, Plain, &O::text, &Text::tokens, &Tokens::sampler, member>);
}
template <auto member>
constexpr Row processors(std::string_view name) {
  return row(name, Asks::kAnswer,
             &set_member<O, Plain, &O::text, &Text::tokens, &Tokens::processors, member>);
}
template <auto member, typename Reader>
constexpr Row constraint(std::string_view name) {
  return row(name, Asks::kAnswer, &set_member<O, Reader, &O::constraint, member>);
}
template <auto member, typename Reader = Plain>
constexpr Row chat(std::string_view name) {
  return row(name, Asks::kChat, &set_member<O, Reader, &O::chat, member>);
}

constexpr Row kOptions[] = {
    tokens<&Tokens::max_tokens>("max_tokens"),
    sampler<&Sampler::temp>("temp"),
    sampler<&Sampler::top_p>("top_p"),
    sampler<&Sampler::min_p>("min_p"),
    sampler<&Sampler::min_tokens_to_keep>("min_tokens_to_keep"),
    sampler<&Sampler::top_k>("top_k"),
    sampler<&Sampler::xtc_probability>("xtc_probability"),
    sampler<&Sampler::xtc_threshold>("xtc_threshold"),
    sampler<&Sampler::xtc_special_tokens>("xtc_special_tokens"),
    processors<&Processors::logit_bias>("logit_bias"),
    processors<&Processors::repetition_penalty>("repetition_penalty"),
    processors<&Processors::repetition_context_size>("repetition_context_size"),
    processors<&Processors::presence_penalty>("presence_penalty"),
    processors<&Processors::presence_context_size>("presence_context_size"),
    processors<&Processors::frequency_penalty>("frequency_penalty"),
    processors<&Processors::frequency_context_size>("frequency_context_size"),
    tokens<&Tokens::seed, Natural>("seed"),
    text<&Text::stop, Texts>("stop"),
    text<&Text::extra_eos_tokens, Texts>("extra_eos_tokens"),
    text<&Text::skip_special_tokens>("skip_special_tokens"),
    tokens<&Tokens::max_kv_size>("max_kv_size"),
    own<&O::kv_bits>("kv_bits"),
    own<&O::kv_group_size>("kv_group_size"),
    tokens<&Tokens::quantized_kv_start>("quantized_kv_start"),
    tokens<&Tokens::prefill_step_size>("prefill_step_size"),
    own<&O::draft_model>("draft_model"),
    own<&O::num_draft_tokens>("num_draft_tokens"),
    own<&O::ngram>("ngram"),
    constraint<&llm::Constraint::json_schema, Json>("json_schema"),
    constraint<&llm::Constraint::grammar, SomeText>("grammar"),
    constraint<&llm::Constraint::regex, SomeText>("regex"),
    own<&O::thinking_budget>("thinking_budget"),
    own<&O::top_logprobs>("top_logprobs"),
    own<&O::prompt_cache, SomeText>("prompt_cache"),
    own<&O::cache>("cache"),
    chat<&llm::ChatOptions::add_generation_prompt>("add_generation_prompt"),
    chat<&llm::ChatOptions::continue_final_message>("continue_final_message"),
    chat<&llm::ChatOptions::tools, Json>("tools"),
    chat<&llm::ChatOptions::variables, Json>("template_variables"),
    chat<&llm::ChatOptions::chat_template, SomeText>("chat_template"),
};

}  // namespace

llm::LoadOptions load_options(const std::optional<std::string>& adapter, bool requantize) {
  llm::LoadOptions options;
  options.requantize = requantize;
  if (adapter) options.adapter = *adapter;
  return options;
}

LlmOptions decode_llm_options(ErlNifEnv* env, Term options, Asks asks) {
  LlmOptions result = decode_options<O>(env, options, kOptions, static_cast<std::uint8_t>(asks));
  if (result.top_logprobs && *result.top_logprobs < 0)
    throw ArgumentError(fmt::format(":top_logprobs: {} is negative", *result.top_logprobs));
  if (result.draft_model && result.ngram)
    throw ArgumentError(":draft_model and :ngram exclude each other: give one");
  if (result.cache && !result.prompt_cache.empty())
    throw ArgumentError(":cache and :prompt_cache exclude each other: give one");
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
