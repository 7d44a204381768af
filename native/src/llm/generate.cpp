#include "mlxnx/llm/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "llm/drafts.h"
#include "llm/lost.h"
#include "llm/module.h"
#include "llm/sanitize.h"
#include "llm/vocabulary.h"
#include "mlxnx/device.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"
#include "tensor/on_engine.h"

namespace mlxnx::llm {
namespace {

using Ids = std::vector<std::uint32_t>;

Tensor row_of(std::span<const std::uint32_t> ids) {
  return Tensor::from_span(ids, {1, static_cast<std::int64_t>(ids.size())});
}

Tensor list_of(std::span<const std::uint32_t> ids) {
  return Tensor::from_span(ids, {std::ssize(ids)});
}

void require(bool holds, std::string_view text) {
  if (!holds) throw ArgumentError(fmt::format("[generate] {}", text));
}

bool has_processors(const ProcessorOptions& options) {
  return !options.logit_bias.empty() || options.repetition_penalty != 0 ||
         options.presence_penalty != 0 || options.frequency_penalty != 0;
}

bool ends_with(std::span<const std::uint32_t> ids, const Ids& end) {
  return !end.empty() && ids.size() >= end.size() &&
         std::equal(end.rbegin(), end.rend(), ids.rbegin());
}

void quantize_cache(Cache& cache, const GenerateOptions& options) {
  if (options.kv_quantization) cache.quantize(*options.kv_quantization, options.quantized_kv_start);
}

// Gives the first of these tokens to the model. Answers how many.
std::size_t feed_part(const Model& model, std::span<const std::uint32_t> ids,
                      const GenerateOptions& options, Cache& cache) {
  const auto step = static_cast<std::size_t>(options.prefill_step_size);
  const auto some = ids.first(std::min(step, ids.size()));
  model.hidden(row_of(some), cache);  // nobody asks for logits
  quantize_cache(cache, options);
  cache.evaluate();
  return some.size();
}

// Whether attentions see the same of so many tokens more at once as one by one: a window that keeps
// its first rows loses other ones then, and rows are quantized from one token to the next.
bool fits(const Cache& cache, std::int64_t count, const GenerateOptions& options) {
  const std::int64_t start = options.quantized_kv_start;
  if (options.kv_quantization && cache.offset < start && cache.offset + count >= start)
    return false;
  return std::ranges::all_of(cache.layers, [count](const LayerCache& layer) {
    const auto* rows = std::get_if<KeyValues>(&layer);
    return rows == nullptr || rows->keep == 0 || rows->length + count <= rows->window;
  });
}

bool go_on(const GenerateOptions& options, std::size_t done, std::size_t total) {
  return !options.on_prompt || options.on_prompt(done, total);
}

void check(const GenerateOptions& options) {
  require(options.max_tokens >= -1, "max_tokens is negative: -1 stands for any number");
  require(options.prefill_step_size >= 1, "prefill_step_size is less than 1");
  require(!options.thinking || options.thinking->max_tokens >= 0,
          "the thinking budget is negative");
  if (!options.kv_quantization) return;
  const auto [bits, group] = *options.kv_quantization;
  require(!options.max_kv_size, "a cache of max_kv_size tokens can't be quantized");
  // The op says which it takes, of numbers that any of its groups divide.
  mlxnx::quantize(constant(0, DType::f32, {1, 128}), {.bits = bits, .group_size = group});
}

// How many positions the model knows: those of its training, stretched as its rope is. None where
// its settings don't say.
std::optional<std::int64_t> context_of(const Model& model) {
  const Config config = text_config(model.config());
  for (const char* key : {"max_position_embeddings", "n_positions", "max_seq_len"}) {
    if (!config.contains(key)) continue;
    const auto most = config.get<std::int64_t>(key);
    if (most < 1) throw FormatError(fmt::format("[generate] {} is {}", key, most));
    const double factor = config.holds_object("rope_scaling")
                              ? config.get<Config>("rope_scaling").get<double>("factor", 1.0)
                              : 1.0;
    if (!(factor > 1)) return most;
    const double stretched = static_cast<double>(most) * factor;
    return stretched < 0x1p62 ? std::optional(static_cast<std::int64_t>(stretched)) : std::nullopt;
  }
  return std::nullopt;
}

// Caches come from files, too.
void require_own(const Cache& cache, const Model& model) {
  const Cache own = model.make_cache();
  const bool is_own = std::ranges::equal(
      cache.layers, own.layers,
      [](const LayerCache& a, const LayerCache& b) { return a.index() == b.index(); });
  require(is_own, "the cache is that of another model: its layers are of other kinds");
}

bool has_table_of_positions(const Model& model) {
  return family_of(model.family()).has_table_of_positions;
}

void require_context(const Model& model, std::int64_t tokens, const GenerateOptions& options) {
  const std::optional<std::int64_t> context = context_of(model);
  if (!context || tokens <= *context) return;
  const bool may_forget = !has_table_of_positions(model);
  if (may_forget && options.max_kv_size) return;
  throw ArgumentError(fmt::format(
      "[generate] the prompt makes {} tokens, and the model knows {} positions: "
      "shorten it{}",
      tokens, *context, may_forget ? ", or keep only the last tokens by max_kv_size" : ""));
}

// Known before anything is computed, while a GPU would read any row for it.
void require_tokens_of_vocabulary(std::span<const std::uint32_t> tokens, const Model& model) {
  const std::optional<std::int64_t> size = vocabulary_of(model);
  if (tokens.empty() || !size) return;
  require_token("generate", *std::ranges::max_element(tokens), *size);
}

}  // namespace

Cache prefill(const Model& model, std::span<const std::uint32_t> tokens,
              const GenerateOptions& options, std::optional<Cache> cache) {
  check(options);
  require_tokens_of_vocabulary(tokens, model);
  Cache memory = cache ? std::move(*cache) : model.make_cache({.max_kv_size = options.max_kv_size});
  require_own(memory, model);
  require_context(model, memory.offset + std::ssize(tokens), options);
  std::size_t done = 0;
  while (go_on(options, done, tokens.size()) && done < tokens.size())
    done += feed_part(model, tokens.subspan(done), options, memory);
  return memory;
}

// In place of a token where the model answers NaN.
constexpr std::uint32_t kLost = std::numeric_limits<std::uint32_t>::max();

// A token whose elements may not be computed yet.
struct Choice {
  Tensor id;  ///< u32[1]
  Tensor logprobs;
};

struct TokenGenerator::State {
  Model model;
  GenerateOptions options;
  Cache cache;
  Ids tokens;                                  ///< the prompt's and those answered
  std::size_t fed = 0;                         ///< how many of them the cache holds
  std::size_t prompt = 0;                      ///< how many are the prompt's
  std::int64_t count = 0;                      ///< answered
  std::int64_t before_prompt = 0;              ///< tokens that the cache held at first
  std::optional<std::int64_t> most_positions;  ///< none: any number
  bool is_over = false;
  bool is_ahead = false;  ///< whether the next step begins before a token is read
  Tensor key;
  std::optional<GrammarMatcher> matcher;
  std::optional<Choice> pending;
  std::unique_ptr<Drafts> drafts;
  std::optional<std::int64_t> vocabulary;  ///< that guesses have to be of
  bool has_guessed = false;                ///< and has not been told of it yet
  std::deque<GeneratedToken> ready;        ///< accepted guesses
  /// Of a thought: whether one is open, where it began, what is being put in to end it.
  bool is_thinking = false;
  std::size_t thought_from = 0;
  std::deque<std::uint32_t> forced;

  State(Model which, Ids all, GenerateOptions how, std::optional<Cache> memory, std::size_t known)
      : model(std::move(which)),
        options(std::move(how)),
        cache(memory ? std::move(*memory) : model.make_cache({.max_kv_size = options.max_kv_size})),
        tokens(std::move(all)),
        fed(known),
        prompt(tokens.size()) {
    require(!tokens.empty(), "the prompt is empty: it needs a token at least");
    check(options);
    require(known < prompt && std::cmp_less_equal(known, cache.offset),
            "the cache holds all of the prompt, or not what is said to be known of it");
    require(cache.left_padding.empty(), "the cache is that of a batch");
    require_own(cache, model);
    require_tokens_of_vocabulary(tokens, model);
    before_prompt = cache.offset - static_cast<std::int64_t>(known);
    require_context(model, before_prompt + std::ssize(tokens), options);
    if (has_table_of_positions(model)) most_positions = context_of(model);
    key = random::key(options.seed ? *options.seed : std::random_device()());
    if (options.grammar) matcher.emplace(*options.grammar);
    if (options.speculation) {
      drafts = make_drafts(options, key);
      vocabulary = vocabulary_of(model);
    }
    if (options.thinking) watch_thought(tokens.size());
    is_ahead = !options.grammar && !options.speculation && !options.thinking &&
               default_device() == Device::kGpu;
  }

  /// How many tokens there may be yet.
  std::int64_t room() const {
    std::int64_t room = std::numeric_limits<std::int64_t>::max();
    if (options.max_tokens >= 0) room = options.max_tokens - count;
    // What comes after the last position is not given to the model any more.
    if (most_positions)
      room = std::min(room, *most_positions + 1 - before_prompt - std::ssize(tokens));
    return room;
  }
  bool has_room() const { return room() > 0; }

  /// All of the prompt but its last token. Answers whether to go on.
  bool prefill() {
    if (!go_on(options, fed, prompt)) return false;
    while (prefill_part())
      if (!go_on(options, fed, prompt)) return false;
    return true;
  }

  std::optional<PromptProgress> prefill_part() {
    if (count > 0 || is_over || !has_room() || prompt - fed <= 1) return std::nullopt;
    fed += feed_part(model, std::span(tokens).first(prompt - 1).subspan(fed), options, cache);
    return PromptProgress{fed, prompt};
  }

  Tensor next_key() {
    auto [next, mine] = random::split(key);
    key = next;
    return mine;
  }

  /// What is chosen by logits `[1, vocabulary]` after the tokens that `history` answers, which only
  /// processors look at.
  template <typename History>
  Choice choose(Tensor logits, const History& history) {
    if (has_processors(options.processors))
      logits = process_logits(logits, history(), options.processors);
    if (matcher) logits = mask_logits(logits, std::array{matcher->mask()});
    const Tensor chances = llm::logprobs(logits);
    const Tensor draw = options.sampler.temp == 0 ? key : next_key();  // the best is not drawn
    const Tensor id = sample(chances, options.sampler, draw);
    // A single NaN among the logits makes all of these NaN.
    const Tensor is_lost = is_nan(reshape(slice_along_axis(chances, 0, 1, {.axis = 1}), {1}));
    return {select(is_lost, kLost, id), squeeze(chances, {.axes = Axes{0}})};
  }

  std::uint32_t read(const Choice& choice) const {
    const auto id = choice.id.item<std::uint32_t>();
    if (id != kLost) return id;
    refuse_nan("generate", fmt::format("after {} tokens", tokens.size()), choice.logprobs.dtype());
  }

  /// Gives a token to the model, `ids` u32[1, 1], and chooses the next one. The last token so far
  /// may be one that is not known yet.
  Choice step(const Tensor& ids, const Tensor* unknown) {
    const Tensor logits = squeeze(model.forward(ids, cache), {.axes = Axes{1}});
    quantize_cache(cache, options);
    return choose(logits, [&] {
      const Tensor known = list_of(tokens);
      return unknown == nullptr ? known : concatenate({known, *unknown});
    });
  }

  std::optional<GeneratedToken> next_plain() {
    if (!pending) {
      pending = step(row_of(std::span(tokens).subspan(fed, 1)), nullptr);
      if (is_ahead) async_eval({pending->id, pending->logprobs});
      ++fed;
    }
    Choice current = std::move(*pending);
    pending.reset();
    if (is_ahead && room() > 1) {
      pending = step(reshape(current.id, {1, 1}), &current.id);
      async_eval({pending->id, pending->logprobs});
      ++fed;
    } else {
      cache.evaluate({current.id, current.logprobs});
    }
    return GeneratedToken{read(current), current.logprobs};
  }

  /// What may follow, for a pass that takes `own` tokens beside it.
  Ids guess(std::int64_t own) {
    std::int64_t most = std::min(options.speculation->num_draft_tokens, room());
    if (most_positions) most = std::min(most, *most_positions - before_prompt - std::ssize(tokens));
    if (most < 1 || !fits(cache, own + most, options)) return {};
    Ids guesses = drafts->propose(tokens, most);
    has_guessed = true;
    // A draft model's table may have rows more.
    if (vocabulary) {
      guesses.erase(
          std::ranges::find_if(guesses, [&](std::uint32_t id) { return id >= *vocabulary; }),
          guesses.end());
    }
    return guesses;
  }

  /// Guesses, and what the model says of all of them at once.
  void speculate() {
    Ids given(tokens.begin() + static_cast<std::ptrdiff_t>(fed), tokens.end());
    const std::size_t own = given.size();
    const Ids guesses = guess(static_cast<std::int64_t>(own));
    given.insert(given.end(), guesses.begin(), guesses.end());
    const std::optional<Cache> before = snapshot(cache);
    const Tensor logits = model.forward(row_of(given), cache);
    quantize_cache(cache, options);
    cache.evaluate({logits});
    Ids told = tokens;
    std::size_t accepted = 0;
    for (std::size_t i = 0; i <= guesses.size(); ++i) {
      const Tensor row =
          squeeze(slice_along_axis(logits, static_cast<std::int64_t>(own - 1 + i), 1, {.axis = 1}),
                  {.axes = Axes{1}});
      const Choice choice = choose(row, [&] { return list_of(told); });
      const std::uint32_t id = read(choice);
      if (matcher) matcher->accept(id);
      const bool is_guessed = i < guesses.size() && guesses[i] == id;
      ready.push_back({id, choice.logprobs, is_guessed});
      if (!is_guessed) break;
      ++accepted;
      told.push_back(id);
      if (matcher && matcher->is_stopped()) break;
    }
    take_back(before, given, guesses.size() - accepted);
    fed += own + accepted;
    if (std::exchange(has_guessed, false)) drafts->accepted(accepted);
  }

  /// The cache without the last ones of the tokens that were given to it.
  void take_back(const std::optional<Cache>& before, const Ids& given, std::size_t unwanted) {
    if (unwanted == 0) return;
    if (cache.can_trim()) {
      cache.trim(static_cast<std::int64_t>(unwanted));
      return;
    }
    cache = before.value();
    if (given.size() > unwanted)
      model.forward(row_of(std::span(given).first(given.size() - unwanted)), cache);
  }

  void watch_thought(std::size_t all) {
    const ThinkingBudget& thinking = *options.thinking;
    const auto so_far = std::span<const std::uint32_t>(tokens).first(all);
    if (ends_with(so_far, thinking.end)) is_thinking = false;
    if (ends_with(so_far, thinking.start)) {
      is_thinking = true;
      thought_from = all;
    }
    if (is_thinking && forced.empty() &&
        static_cast<std::int64_t>(all - thought_from) >= thinking.max_tokens)
      forced.assign(thinking.end.begin(), thinking.end.end());
  }

  std::optional<GeneratedToken> next() {
    if (is_over || !has_room()) return std::nullopt;
    if (prompt - fed > 1 && count == 0 && !prefill()) {
      is_over = true;
      return std::nullopt;
    }
    std::optional<GeneratedToken> token;
    if (drafts == nullptr) {
      // A pass is built on the thread that evaluates: the choice goes there with it.
      if (is_ahead) {
        tensors::run_on_engine([&] { token = next_plain(); });
      } else {
        token = next_plain();
      }
      if (!forced.empty()) {
        token->id = forced.front();
        forced.pop_front();
      }
      if (matcher) matcher->accept(token->id);
    } else {
      if (ready.empty()) speculate();
      token = std::move(ready.front());
      ready.pop_front();
    }
    if (matcher && ready.empty() && matcher->is_stopped()) is_over = true;
    if (count == 0 && options.on_prompt) options.on_prompt(prompt, prompt);
    tokens.push_back(token->id);
    ++count;
    if (options.thinking) watch_thought(tokens.size());
    return token;
  }
};

TokenGenerator::TokenGenerator(Model model, std::vector<std::uint32_t> prompt,
                               GenerateOptions options, std::optional<Cache> cache,
                               std::size_t known)
    : state_(std::make_unique<State>(std::move(model), std::move(prompt), std::move(options),
                                     std::move(cache), known)) {}
TokenGenerator::TokenGenerator(TokenGenerator&&) noexcept = default;
TokenGenerator& TokenGenerator::operator=(TokenGenerator&&) noexcept = default;
TokenGenerator::~TokenGenerator() = default;

std::optional<PromptProgress> TokenGenerator::prefill_part() { return state_->prefill_part(); }
std::optional<GeneratedToken> TokenGenerator::next() { return state_->next(); }
const Cache& TokenGenerator::cache() const { return state_->cache; }
std::size_t TokenGenerator::cached_tokens() const { return state_->fed; }
bool TokenGenerator::is_full() const { return !state_->has_room(); }
const std::vector<std::uint32_t>& TokenGenerator::tokens() const { return state_->tokens; }

}  // namespace mlxnx::llm
