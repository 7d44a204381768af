// What a language model remembers of the tokens that it has seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <variant>
#include <vector>

#include "mlxnx/quantize.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

/// Rows of an attention's keys or values, `[batch, heads, capacity, size]`, or what they are
/// quantized to.
struct CachedRows {
  std::optional<Tensor> dense = std::nullopt;
  std::optional<Quantized> quantized = std::nullopt;

  bool is_empty() const { return !dense && !quantized; }
};

/// What an attention remembers: all keys and values, or, with a window, the last ones.
struct KeyValues {
  CachedRows keys = {}, values = {};
  std::int64_t length = 0;  ///< rows in use
  std::int64_t window = 0;  ///< how many there may be; 0: any number
  std::int64_t keep = 0;    ///< the first ones, which a window does not lose
  std::int64_t next = 0;    ///< where the next row goes once a window is full
  std::int64_t lost = 0;    ///< rows that have left the window
};

/// What a recurrent layer remembers, in the layer's own order; nothing before the first token.
struct Recurrent {
  std::vector<std::optional<Tensor>> states;
};

using LayerCache = std::variant<KeyValues, Recurrent>;

/// Options of `Model::make_cache`.
struct CacheOptions {
  /// Attentions without a window of their own keep this many tokens, the first four among them.
  std::optional<std::int64_t> max_kv_size = std::nullopt;
  /// Prompts of different lengths in one batch: how many tokens at the start of each are none.
  std::vector<std::int64_t> left_padding = {};
};

/// How keys and values are kept in fewer bits. mlx-lm: kv_bits, kv_group_size
struct KvQuantization {
  std::int64_t bits = 8;
  std::int64_t group_size = 64;
  bool operator==(const KvQuantization&) const = default;
};

/// The memory of a model over one batch of texts. A value: a copy is a snapshot that stays what it
/// was while the other goes on, and costs nothing until then.
///
///     Cache cache = model.make_cache();
///     Tensor logits = model.forward(prompt, cache);   // the cache now holds the prompt
///     Cache before = cache;                           // to come back to
class Cache {
 public:
  Cache() = default;
  explicit Cache(std::vector<LayerCache> each, std::vector<std::int64_t> padding = {})
      : layers(std::move(each)), left_padding(std::move(padding)) {}

  std::vector<LayerCache> layers;
  std::vector<std::int64_t> left_padding;  ///< one for each text; none: 0
  std::int64_t offset = 0;                 ///< tokens seen, padding included

  /// Bytes of all that is kept.
  std::size_t byte_size() const;
  /// Whether the last tokens can be taken back: not from recurrent layers, and not from a window
  /// that has lost rows.
  bool can_trim() const;
  /// Takes back the last `count` tokens, or all where there are fewer. Returns: how many.
  /// Throws: ArgumentError where they can't be.
  std::int64_t trim(std::int64_t count);
  /// Quantizes the keys and values of all attentions without a window, once there are `from`
  /// tokens. Throws: ShapeError for groups that don't divide the heads' size, before that as well.
  void quantize(const KvQuantization& form, std::int64_t from = 0);
  std::vector<Tensor> tensors() const;
  /// Evaluates `others`, such as the next token, and all that the cache holds, in one evaluation. A
  /// cache that is known to be there takes the next token at once on a CPU: in its own memory, and
  /// without a graph.
  void evaluate(std::initializer_list<Tensor> others = {}) const;
};

}  // namespace mlxnx::llm
