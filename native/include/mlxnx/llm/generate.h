// Tokens from a language model, one after the other.
//
//     llm::TokenGenerator tokens(model, {1, 15043}, {.max_tokens = 20, .sampler = {.temp = 0.7}});
//     while (auto token = tokens.next()) use(token->id);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mlxnx/llm/cache.h"
#include "mlxnx/llm/model.h"
#include "mlxnx/llm/sampling.h"
#include "mlxnx/tensor.h"
#include "mlxnx/text.h"

namespace mlxnx::llm {

/// How tokens are guessed before the model has its say, so that it looks at several at once. What
/// it answers is the same, token by token.
struct Speculation {
  std::optional<Model> draft_model = std::nullopt;  ///< a smaller model of the same vocabulary
  std::int64_t num_draft_tokens = 3;
  /// Without a draft model: guesses are what followed the last so many tokens when they occurred
  /// before.
  std::int64_t ngram_size = 3;
};

/// How much a model may think before it answers.
struct ThinkingBudget {
  std::int64_t max_tokens = 0;            ///< between the start and the end of thinking
  std::vector<std::uint32_t> start = {};  ///< what a thought begins with; the prompt may hold it
  std::vector<std::uint32_t> end = {};  ///< what is put in where the model has not ended it itself
};

struct GenerateOptions {
  std::int64_t max_tokens = 256;  ///< -1: as many as are asked for
  SamplerOptions sampler = {};
  ProcessorOptions processors = {};
  std::optional<std::uint64_t> seed = std::nullopt;  ///< of draws; none: another one every time
  std::int64_t prefill_step_size = 2048;             ///< tokens of the prompt at a time
  std::optional<std::int64_t> max_kv_size = std::nullopt;  ///< see CacheOptions
  std::optional<KvQuantization> kv_quantization = std::nullopt;
  std::int64_t quantized_kv_start = 0;  ///< tokens in the cache from which on it is quantized
  std::optional<Speculation> speculation = std::nullopt;
  std::optional<Grammar> grammar = std::nullopt;  ///< that the text has to be of
  std::optional<ThinkingBudget> thinking = std::nullopt;
  /// Told after each part of the prompt; answers whether to go on.
  Progress on_prompt = {};
};

/// The memory of `cache` after these tokens too, `prefill_step_size` at a time; after fewer where
/// `on_prompt` stops it. Options: those about the cache and the prompt.
///
///     Cache cache = prefill(model, prompt, {.kv_quantization = KvQuantization{.bits = 8}});
Cache prefill(const Model& model, std::span<const std::uint32_t> tokens,
              const GenerateOptions& options = {}, std::optional<Cache> cache = std::nullopt);

/// How much of a prompt the model has seen. Its last token goes in with the first answer.
struct PromptProgress {
  std::size_t done = 0, total = 0;
};

struct GeneratedToken {
  std::uint32_t id = 0;
  Tensor logprobs;          ///< `[vocabulary]`, after the processors
  bool from_draft = false;  ///< whether it was guessed
};

/// A text that grows by tokens. Not for two threads at once; what it has made is there until it is
/// destroyed, and nothing goes on in the background but the next token on a GPU.
class TokenGenerator {
 public:
  /// `cache` may hold tokens that come before the prompt, and behind these `known` tokens of the
  /// prompt itself, which are not computed again.
  /// Throws: ArgumentError for a prompt without any token that is not known, and for options out of
  /// their range. mlx-lm: generate_step, speculative_generate_step
  TokenGenerator(Model model, std::vector<std::uint32_t> prompt, GenerateOptions options = {},
                 std::optional<Cache> cache = std::nullopt, std::size_t known = 0);
  TokenGenerator(TokenGenerator&&) noexcept;
  TokenGenerator& operator=(TokenGenerator&&) noexcept;
  ~TokenGenerator();

  /// Gives the model the next part of the prompt, `prefill_step_size` tokens of it, for those who
  /// want to see to other things in between. Returns: nothing where `next` has no part left to
  /// give.
  ///
  ///     while (auto progress = tokens.prefill_part()) show(progress->done, progress->total);
  std::optional<PromptProgress> prefill_part();
  /// The next token, after what is left of the prompt; none after `max_tokens`, when `on_prompt`
  /// has stopped it, or when the grammar allows none.
  /// Throws: ArithmeticError where the model answers NaN.
  std::optional<GeneratedToken> next();

  /// The memory as it is, and how many of the prompt's and the generated tokens it holds.
  const Cache& cache() const;
  std::size_t cached_tokens() const;
  /// Whether there is no room for another token: there are `max_tokens`, or as many as the model
  /// has learned positions.
  bool is_full() const;
  /// The prompt's tokens and those that were answered.
  const std::vector<std::uint32_t>& tokens() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlxnx::llm
