// Options of Mlx.LLM by their names, in one table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/llm/text_model.h"
#include "nif/codec.h"

namespace mlxnx::nif {

/// What is asked of a language model, as it was said; what needs the model to be understood stands
/// beside `text`.
struct LlmOptions {
  llm::TextOptions text = {};
  llm::ChatOptions chat = {};
  llm::Constraint constraint = {};
  std::optional<std::int64_t> thinking_budget = {}, kv_bits = {}, ngram = {}, top_logprobs = {};
  std::int64_t kv_group_size = 64, num_draft_tokens = 3;
  std::optional<llm::TextModel> draft_model = {};
  std::string prompt_cache = {};  ///< a file
  std::shared_ptr<llm::PromptCache> cache = {};

  /// Those about the text, for a model.
  llm::TextOptions text_options(const llm::TextModel& model) const;
};

/// Which options may be given: about the answer, about how messages become a prompt, or both.
enum class Asks : std::uint8_t { kAnswer = 1, kChat = 2, kBoth = 3 };

/// How a model is loaded: with the adapter in a folder, and blocks of GGUF files packed or not.
llm::LoadOptions load_options(const std::optional<std::string>& adapter, bool requantize);

/// Throws: ArgumentError for an option that there is not, with the nearest one, and for values that
/// are none of the option's.
LlmOptions decode_llm_options(ErlNifEnv* env, Term options, Asks asks);

template <>
struct Codec<llm::TextModel> {
  static llm::TextModel decode(ErlNifEnv* env, Term term);
};
template <>
struct Codec<std::shared_ptr<llm::PromptCache>> {
  static std::shared_ptr<llm::PromptCache> decode(ErlNifEnv* env, Term term);
};

}  // namespace mlxnx::nif
