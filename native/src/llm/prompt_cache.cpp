#include "mlxnx/llm/prompt_cache.h"

#include <algorithm>

namespace mlxnx::llm {

std::pair<Cache, std::size_t> PromptCache::take(const Model& model,
                                                const std::vector<std::uint32_t>& prompt,
                                                const CacheOptions& options) const {
  const Entry* best = nullptr;
  std::size_t most = 0;
  for (const Entry& entry : entries_) {
    const auto [own, other] = std::ranges::mismatch(entry.tokens, prompt);
    auto common = static_cast<std::size_t>(other - prompt.begin());
    // The last token of a prompt is what an answer comes from.
    common = std::min(common, prompt.empty() ? 0 : prompt.size() - 1);
    if (common < entry.tokens.size() && !entry.cache.can_trim()) continue;
    if (common <= most) continue;
    best = &entry;
    most = common;
  }
  if (best == nullptr) return {model.make_cache(options), 0};
  Cache cache = best->cache;
  if (most < best->tokens.size()) cache.trim(static_cast<std::int64_t>(best->tokens.size() - most));
  return {std::move(cache), most};
}

void PromptCache::put(Cache cache, std::vector<std::uint32_t> tokens, std::size_t most) {
  if (cache.can_trim()) entries_.clear();
  std::erase_if(entries_, [&](const Entry& entry) { return entry.tokens == tokens; });
  entries_.push_back({std::move(cache), std::move(tokens)});
  if (entries_.size() > most) entries_.erase(entries_.begin());
}

}  // namespace mlxnx::llm
