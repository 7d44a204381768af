#include "mlxnx/llm/prompt_cache.h"

#include <algorithm>
#include <utility>

namespace mlxnx::llm {

PromptCache::Form::Form(const GenerateOptions& options)
    : max_kv_size(options.max_kv_size),
      quantization(options.kv_quantization),
      quantized_from(quantization ? options.quantized_kv_start : 0) {}

PromptCache::Beginning PromptCache::take(const std::vector<std::uint32_t>& prompt,
                                         const GenerateOptions& options) const {
  const std::lock_guard lock(mutex_);
  const Form form(options);
  const Entry* best = nullptr;
  std::size_t most = 0;
  for (const Entry& entry : entries_) {
    if (entry.form != form) continue;
    const auto [own, other] = std::ranges::mismatch(entry.tokens, prompt);
    auto common = static_cast<std::size_t>(other - prompt.begin());
    // The last token of a prompt is what an answer comes from.
    common = std::min(common, prompt.empty() ? 0 : prompt.size() - 1);
    if (common < entry.tokens.size() && !entry.cache.can_trim()) continue;
    if (common <= most) continue;
    best = &entry;
    most = common;
  }
  if (best == nullptr) return {model_.make_cache({.max_kv_size = options.max_kv_size}), 0};
  Cache cache = best->cache;
  if (most < best->tokens.size()) cache.trim(static_cast<std::int64_t>(best->tokens.size() - most));
  return {std::move(cache), most};
}

void PromptCache::put(Cache cache, std::vector<std::uint32_t> tokens,
                      const GenerateOptions& options, std::size_t most) {
  const std::lock_guard lock(mutex_);
  if (cache.can_trim()) entries_.clear();
  std::erase_if(entries_, [&](const Entry& entry) { return entry.tokens == tokens; });
  entries_.push_back({std::move(cache), std::move(tokens), Form(options)});
  if (entries_.size() > most) entries_.erase(entries_.begin());
}

void PromptCache::put(const TokenGenerator& generator, const GenerateOptions& options) {
  const std::vector<std::uint32_t>& all = generator.tokens();
  std::size_t held = generator.cached_tokens();
  if (held == 0) return;
  Cache cache = generator.cache();
  // Guesses that hold, and that nobody has asked for any more.
  if (held > all.size()) {
    if (!cache.can_trim()) return;
    cache.trim(static_cast<std::int64_t>(held - all.size()));
    held = all.size();
  }
  put(std::move(cache), {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(held)}, options);
}

void PromptCache::release() {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) { return entry.cache.can_trim(); });
}

PromptCache::Info PromptCache::info() const {
  const std::lock_guard lock(mutex_);
  Info info;
  for (const Entry& entry : entries_) {
    info.tokens = std::max(info.tokens, entry.tokens.size());
    info.bytes += entry.cache.byte_size();
  }
  return info;
}

}  // namespace mlxnx::llm
