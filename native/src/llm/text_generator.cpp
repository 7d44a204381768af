#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "llm/stop_texts.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/llm/text_model.h"

namespace mlxnx::llm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::uint32_t> ends_of(const TextModel& model, const TextOptions& options) {
  std::vector<std::uint32_t> ends = model.eos_tokens();
  for (const std::string& text : options.extra_eos_tokens) {
    const auto id = model.tokenizer().id_of(text);
    if (!id) {
      throw ArgumentError(
          fmt::format("[generate] the vocabulary has no token {:?}, which is to end texts", text));
    }
    ends.push_back(*id);
  }
  return ends;
}

}  // namespace

std::string_view name(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : reason == FinishReason::kLength ? "length" : "";
}

struct TextGenerator::State {
  std::shared_ptr<PromptCache> memory;
  GenerateOptions form;  ///< what of the options the memory looks at
  std::vector<std::uint32_t> ends;
  TokenGenerator tokens;
  Detokenizer detokenizer;
  StopTexts stop;
  GenerationStats stats;
  Clock::time_point start = Clock::now();
  bool is_over = false;

  State(const TextModel& model, std::vector<std::uint32_t> prompt, TextOptions options,
        std::optional<Cache> cache, std::size_t known)
      : ends(ends_of(model, options)),
        tokens(model.model(), std::move(prompt), std::move(options.tokens), std::move(cache),
               known),
        detokenizer(model.tokenizer(), {.skip_special = options.skip_special_tokens}),
        stop(std::move(options.stop)) {
    stats.prompt_tokens = tokens.tokens().size();
    stats.cached_tokens = known;
    reset_peak_memory();
  }

  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    try {
      remember();
    } catch (const std::exception&) {
      // The next prompt is read anew.
    }
  }

  void remember() {
    if (const auto whose = std::exchange(memory, nullptr)) whose->put(tokens, form);
  }

  /// Does a step, after whose failure the cache is of no use.
  template <typename Step>
  auto safely(const Step& step) {
    try {
      return step();
    } catch (...) {
      memory = nullptr;
      throw;
    }
  }

  void measure() {
    if (stats.generation_tokens == 0) {
      stats.prompt_seconds = seconds_since(start);
      start = Clock::now();
    } else {
      stats.generation_seconds = seconds_since(start);
    }
    ++stats.generation_tokens;
    stats.peak_memory = memory_info().peak_bytes;
  }

  TextPiece last(TextPiece piece, FinishReason reason) {
    is_over = true;
    remember();
    if (!stop.is_found()) piece.text += stop.push(detokenizer.finish()) + stop.finish();
    piece.finish_reason = reason;
    return piece;
  }

  std::optional<TextPiece> next() {
    if (is_over) return std::nullopt;
    TextPiece piece;
    piece.token = tokens.next();
    if (!piece.token)
      return last(std::move(piece), tokens.is_full() ? FinishReason::kLength : FinishReason::kStop);
    measure();
    if (piece.token->from_draft) ++stats.accepted_drafts;
    if (std::ranges::find(ends, piece.token->id) != ends.end())
      return last(std::move(piece), FinishReason::kStop);
    piece.text = stop.push(detokenizer.push(piece.token->id));
    if (stop.is_found()) return last(std::move(piece), FinishReason::kStop);
    if (tokens.is_full()) return last(std::move(piece), FinishReason::kLength);
    return piece;
  }
};

TextGenerator::TextGenerator(TextModel model, std::vector<std::uint32_t> prompt,
                             TextOptions options, std::optional<Cache> cache, std::size_t known)
    : state_(std::make_unique<State>(model, std::move(prompt), std::move(options), std::move(cache),
                                     known)) {}

TextGenerator::TextGenerator(TextModel model, std::vector<std::uint32_t> prompt,
                             TextOptions options, std::shared_ptr<PromptCache> memory) {
  if (memory->model() != model.model())
    throw ArgumentError("[generate] the cache is that of another model: make one for this model");
  PromptCache::Beginning beginning = memory->take(prompt, options.tokens);
  const GenerateOptions form{.max_kv_size = options.tokens.max_kv_size,
                             .kv_quantization = options.tokens.kv_quantization,
                             .quantized_kv_start = options.tokens.quantized_kv_start};
  state_ = std::make_unique<State>(model, std::move(prompt), std::move(options),
                                   std::move(beginning.cache), beginning.known);
  memory->release();
  state_->form = form;
  state_->memory = std::move(memory);
}

TextGenerator::TextGenerator(TextGenerator&&) noexcept = default;
TextGenerator& TextGenerator::operator=(TextGenerator&&) noexcept = default;
TextGenerator::~TextGenerator() = default;

std::optional<PromptProgress> TextGenerator::prefill_part() {
  return state_->safely([&] { return state_->tokens.prefill_part(); });
}
std::optional<TextPiece> TextGenerator::next() {
  return state_->safely([&] { return state_->next(); });
}
const GenerationStats& TextGenerator::stats() const { return state_->stats; }
const TokenGenerator& TextGenerator::tokens() const { return state_->tokens; }

GeneratedText generate(const TextModel& model, std::vector<std::uint32_t> prompt,
                       TextOptions options, std::optional<Cache> cache) {
  TextGenerator generator(model, std::move(prompt), std::move(options), std::move(cache));
  GeneratedText result;
  while (auto piece = generator.next()) {
    result.text += piece->text;
    if (piece->token) result.tokens.push_back(piece->token->id);
    result.finish_reason = piece->finish_reason;
  }
  result.stats = generator.stats();
  return result;
}

}  // namespace mlxnx::llm
