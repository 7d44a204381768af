#include "llm/drafts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "llm/vocabulary.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"

namespace mlxnx::llm {
namespace {

using Ids = std::vector<std::uint32_t>;

class ModelDrafts final : public Drafts {
 public:
  ModelDrafts(const GenerateOptions& options, Tensor key)
      : model_(*options.speculation->draft_model),
        sampler_(options.sampler),
        prefill_step_size_(options.prefill_step_size),
        max_kv_size_(options.max_kv_size),
        vocabulary_(vocabulary_of(model_)),
        key_(std::move(key)),
        cache_(model_.make_cache()) {}

  Ids propose(const Ids& tokens, std::int64_t most) override {
    require_known(std::span(tokens).subspan(seen_));
    before_ = snapshot(cache_);
    start_ = seen_;
    Ids given(tokens.begin() + static_cast<std::ptrdiff_t>(seen_), tokens.end());
    take_prompt(given);
    Ids guesses;
    while (std::ssize(guesses) < most) {
      const Tensor logits = model_.forward(
          Tensor::from_span(std::span<const std::uint32_t>(given), {1, std::ssize(given)}), cache_);
      seen_ += given.size();
      const Tensor last = squeeze(slice_along_axis(logits, std::ssize(given) - 1, 1, {.axis = 1}),
                                  {.axes = Axes{1}});
      auto [next, mine] = random::split(key_);
      key_ = next;
      const Tensor guess = sample(logprobs(last), sampler_, mine);
      cache_.evaluate({guess});
      guesses.push_back(guess.item<std::uint32_t>());
      given = {guesses.back()};
    }
    known_ = tokens;
    known_.insert(known_.end(), guesses.begin(), guesses.end());
    proposed_ = guesses.size();
    return guesses;
  }

  void accepted(std::size_t count) override {
    // What has been seen beyond the guesses that hold; the last of them was not seen at all.
    const std::size_t right = known_.size() - proposed_ + count;
    if (seen_ <= right) return;
    if (cache_.can_trim()) {
      cache_.trim(static_cast<std::int64_t>(seen_ - right));
      seen_ = right;
      return;
    }
    cache_ = before_.value();
    seen_ = start_;
  }

 private:
  /// Takes all but the last token out of many, of which only the memory is wanted, and not the
  /// logits of each.
  void take_prompt(Ids& given) {
    constexpr std::size_t kFew = 32;
    if (given.size() <= kFew) return;
    const std::size_t count = given.size() - 1;
    cache_ = prefill(model_, std::span(given).first(count),
                     {.prefill_step_size = prefill_step_size_, .max_kv_size = max_kv_size_},
                     std::move(cache_));
    seen_ += count;
    given = {given.back()};
  }

  void require_known(std::span<const std::uint32_t> tokens) const {
    if (!vocabulary_ || tokens.empty()) return;
    const std::uint32_t largest = *std::ranges::max_element(tokens);
    if (largest < *vocabulary_) return;
    throw ArgumentError(
        fmt::format("[generate] the draft model has a vocabulary of {}, and the text has the token "
                    "{}: both models need the same vocabulary",
                    *vocabulary_, largest));
  }

  Model model_;
  SamplerOptions sampler_;
  std::int64_t prefill_step_size_;
  std::optional<std::int64_t> max_kv_size_;  ///< that texts may be longer than it knows positions
  std::optional<std::int64_t> vocabulary_;
  Tensor key_;
  Cache cache_;
  std::optional<Cache> before_;
  std::size_t seen_ = 0, start_ = 0, proposed_ = 0;
  Ids known_;
};

// What followed when the text last came by here.
class NgramDrafts final : public Drafts {
 public:
  explicit NgramDrafts(std::int64_t size) : size_(size) {}

  Ids propose(const Ids& tokens, std::int64_t most) override {
    for (std::int64_t size = std::min(size_, std::ssize(tokens) - 1); size > 0; --size) {
      const auto end = tokens.end() - size;
      const auto found = std::find_end(tokens.begin(), tokens.end() - 1, end, tokens.end());
      if (found == tokens.end() - 1) continue;
      const auto from = found + size;
      return {from, from + std::min<std::int64_t>(most, tokens.end() - from)};
    }
    return {};
  }
  void accepted(std::size_t) override {}

 private:
  std::int64_t size_;
};

}  // namespace

std::optional<Cache> snapshot(const Cache& cache) {
  const bool keeps_all = std::ranges::all_of(cache.layers, [](const LayerCache& layer) {
    const auto* rows = std::get_if<KeyValues>(&layer);
    return rows != nullptr && rows->window == 0;
  });
  return keeps_all ? std::nullopt : std::optional(cache);
}

std::unique_ptr<Drafts> make_drafts(const GenerateOptions& options, const Tensor& key) {
  const Speculation& how = *options.speculation;
  // Nobody is asked in between whether to go on.
  constexpr std::int64_t kMostGuesses = 256;
  if (how.num_draft_tokens < 1 || how.num_draft_tokens > kMostGuesses) {
    throw ArgumentError(fmt::format("[generate] num_draft_tokens has to be from 1 to {}, got {}",
                                    kMostGuesses, how.num_draft_tokens));
  }
  if (how.draft_model) return std::make_unique<ModelDrafts>(options, key);
  if (how.ngram_size < 1) throw ArgumentError("[generate] ngram_size is less than 1");
  return std::make_unique<NgramDrafts>(how.ngram_size);
}

}  // namespace mlxnx::llm
