#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "llm/stop_texts.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
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
  std::vector<std::uint32_t> ends;
  std::int64_t max_tokens;
  TokenGenerator tokens;
  Detokenizer detokenizer;
  StopTexts stop;
  GenerationStats stats;
  Clock::time_point start = Clock::now();
  bool is_over = false;

  State(const TextModel& model, std::vector<std::uint32_t> prompt, TextOptions options,
        std::optional<Cache> cache)
      : ends(ends_of(model, options)),
        max_tokens(options.tokens.max_tokens),
        tokens(model.model(), std::move(prompt), std::move(options.tokens), std::move(cache)),
        detokenizer(model.tokenizer(), {.skip_special = options.skip_special_tokens}),
        stop(std::move(options.stop)) {
    stats.prompt_tokens = tokens.tokens().size();
    reset_peak_memory();
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
    if (!stop.is_found()) piece.text += stop.push(detokenizer.finish()) + stop.finish();
    piece.finish_reason = reason;
    return piece;
  }

  std::optional<TextPiece> next() {
    if (is_over) return std::nullopt;
    TextPiece piece;
    piece.token = tokens.next();
    if (!piece.token) {
      const bool is_full =
          max_tokens >= 0 && std::cmp_greater_equal(stats.generation_tokens, max_tokens);
      return last(std::move(piece), is_full ? FinishReason::kLength : FinishReason::kStop);
    }
    measure();
    if (piece.token->from_draft) ++stats.accepted_drafts;
    if (std::ranges::find(ends, piece.token->id) != ends.end())
      return last(std::move(piece), FinishReason::kStop);
    piece.text = stop.push(detokenizer.push(piece.token->id));
    if (stop.is_found()) return last(std::move(piece), FinishReason::kStop);
    if (max_tokens >= 0 && std::cmp_greater_equal(stats.generation_tokens, max_tokens))
      return last(std::move(piece), FinishReason::kLength);
    return piece;
  }
};

TextGenerator::TextGenerator(TextModel model, std::vector<std::uint32_t> prompt,
                             TextOptions options, std::optional<Cache> cache)
    : state_(std::make_unique<State>(model, std::move(prompt), std::move(options),
                                     std::move(cache))) {}
TextGenerator::TextGenerator(TextGenerator&&) noexcept = default;
TextGenerator& TextGenerator::operator=(TextGenerator&&) noexcept = default;
TextGenerator::~TextGenerator() = default;

std::optional<PromptProgress> TextGenerator::prefill_part() {
  return state_->tokens.prefill_part();
}
std::optional<TextPiece> TextGenerator::next() { return state_->next(); }
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
