// Caches in files, and caches that serve the next prompt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlxnx/llm/cache.h"
#include "mlxnx/llm/generate.h"
#include "mlxnx/llm/model.h"

namespace mlxnx::llm {

/// Writes a cache into a .safetensors file in mlx-lm's layout, with texts of one's own beside it,
/// and with the tokens that it holds, where they are known.
/// Throws: ArgumentError for the cache of a batch, and when the file can't be written, for one
/// because something else is there.
/// mlx-lm: save_prompt_cache
///
///     save_prompt_cache("context.safetensors", cache, {{"model", "SmolLM2"}});
void save_prompt_cache(const std::filesystem::path& path, const Cache& cache,
                       const std::map<std::string, std::string>& metadata = {},
                       std::span<const std::uint32_t> tokens = {});

/// For those who ask before they give the model a long prompt.
/// Throws: ArgumentError, with the path, where `save_prompt_cache` can't write there: the folder is
/// not there or read-only, or the place holds anything but a prompt cache.
///
///     require_prompt_cache_place("context.safetensors");
void require_prompt_cache_place(const std::filesystem::path& path);

struct SavedCache {
  Cache cache;
  std::map<std::string, std::string> metadata;
  std::vector<std::uint32_t> tokens = {};  ///< none where the file does not say
};

/// Throws: FormatError, with the file's name, for what is no such file and tensors that contradict
/// each other; UnsupportedError for kinds of caches that are not known here.
/// mlx-lm: load_prompt_cache
SavedCache load_prompt_cache(const std::filesystem::path& path);

/// The memory of a conversation: what the next prompt begins with need not be computed again. Any
/// thread may use it; texts that are under way at the same time begin with what is remembered then,
/// and what the last of them to end knows is remembered.
///
///     auto memory = std::make_shared<PromptCache>(model.model());
///     TextGenerator first(model, prompt, {}, memory);
///     …
///     TextGenerator second(model, longer_prompt, {}, memory);
class PromptCache {
 public:
  explicit PromptCache(Model model) : model_(std::move(model)) {}

  /// A cache that holds the beginning of a prompt, and how many tokens of it.
  struct Beginning {
    Cache cache;
    std::size_t known = 0;
  };

  const Model& model() const { return model_; }
  /// What is remembered of `prompt`, all but one of its tokens at most, by caches of the form that
  /// the options ask for.
  Beginning take(const std::vector<std::uint32_t>& prompt,
                 const GenerateOptions& options = {}) const;
  /// Remembers a cache and the tokens that it holds. Caches that can't be trimmed are remembered
  /// beside those before them, `most` in all, so that a prompt may go on from an earlier one.
  void put(Cache cache, std::vector<std::uint32_t> tokens, const GenerateOptions& options = {},
           std::size_t most = 4);
  /// What a generator has come to, but for guesses that nobody has asked for.
  void put(const TokenGenerator& generator, const GenerateOptions& options);
  /// Forgets what the next `put` replaces anyway, so that the cache taken from it is nobody else's,
  /// and is written in place.
  void release();

  /// The most tokens that one of the caches holds, and the bytes of all.
  struct Info {
    std::size_t tokens = 0, bytes = 0;
  };
  Info info() const;

 private:
  /// Caches of one form may go on from each other.
  struct Form {
    std::optional<std::int64_t> max_kv_size;
    std::optional<KvQuantization> quantization;
    std::int64_t quantized_from = 0;
    explicit Form(const GenerateOptions& options);
    bool operator==(const Form&) const = default;
  };
  struct Entry {
    Cache cache;
    std::vector<std::uint32_t> tokens;
    Form form;
  };

  Model model_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace mlxnx::llm
