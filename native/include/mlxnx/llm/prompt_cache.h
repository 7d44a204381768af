// Caches in files, and caches that serve the next prompt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mlxnx/llm/cache.h"
#include "mlxnx/llm/model.h"

namespace mlxnx::llm {

/// Writes a cache into a .safetensors file in mlx-lm's layout, with texts of one's own beside it.
/// Throws: ArgumentError for the cache of a batch, and when the file can't be written.
/// mlx-lm: save_prompt_cache
///
///     save_prompt_cache("context.safetensors", cache, {{"model", "SmolLM2"}});
void save_prompt_cache(const std::filesystem::path& path, const Cache& cache,
                       const std::map<std::string, std::string>& metadata = {});

struct SavedCache {
  Cache cache;
  std::map<std::string, std::string> metadata;
};

/// Throws: FormatError, with the file's name, for what is no such file and tensors that contradict
/// each other; UnsupportedError for kinds of caches that are not known here.
/// mlx-lm: load_prompt_cache
SavedCache load_prompt_cache(const std::filesystem::path& path);

/// The memory of a conversation: what the next prompt begins with need not be computed again.
///
///     PromptCache memory;
///     auto [cache, known] = memory.take(model, prompt);
///     TokenGenerator tokens(model, rest_of(prompt, known), {}, cache);
///     …
///     memory.put(tokens.cache(), all_tokens);
class PromptCache {
 public:
  PromptCache() = default;
  /// What a cache holds already: these tokens.
  PromptCache(Cache cache, std::vector<std::uint32_t> tokens) {
    put(std::move(cache), std::move(tokens));
  }

  /// A cache that holds the first tokens of `prompt`, all but one at most, and how many.
  std::pair<Cache, std::size_t> take(const Model& model, const std::vector<std::uint32_t>& prompt,
                                     const CacheOptions& options = {}) const;
  /// Remembers a cache and the tokens that it holds. Caches that can't be trimmed are remembered
  /// beside those before them, `most` in all, so that a prompt may go on from an earlier one.
  void put(Cache cache, std::vector<std::uint32_t> tokens, std::size_t most = 4);
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    Cache cache;
    std::vector<std::uint32_t> tokens;
  };
  std::vector<Entry> entries_;
};

}  // namespace mlxnx::llm
