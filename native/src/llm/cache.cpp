#include "mlxnx/llm/cache.h"

#include <algorithm>

#include "llm/cached_rows.h"
#include "mlxnx/error.h"

namespace mlxnx::llm {

std::vector<Tensor> Cache::tensors() const {
  std::vector<Tensor> all;
  for (const LayerCache& layer : layers) {
    if (const auto* rows = std::get_if<KeyValues>(&layer)) {
      rows::collect(rows->keys, all);
      rows::collect(rows->values, all);
    } else {
      for (const auto& state : std::get<Recurrent>(layer).states) {
        if (state) all.push_back(*state);
      }
    }
  }
  return all;
}

void Cache::evaluate(std::initializer_list<Tensor> others) const {
  std::vector<Tensor> all = tensors();
  all.insert(all.end(), others.begin(), others.end());
  eval(all);
}

std::size_t Cache::byte_size() const {
  std::size_t bytes = 0;
  for (const Tensor& tensor : tensors()) bytes += tensor.byte_size();
  return bytes;
}

bool Cache::can_trim() const {
  return std::ranges::all_of(layers, [](const LayerCache& layer) {
    const auto* rows = std::get_if<KeyValues>(&layer);
    return rows != nullptr && rows->lost == 0;
  });
}

std::int64_t Cache::trim(std::int64_t count) {
  if (!can_trim()) {
    throw ArgumentError(
        "[cache] tokens can't be taken back from recurrent layers, nor from windows that have "
        "lost some: keep a copy of the cache to come back to");
  }
  count = std::clamp<std::int64_t>(count, 0, offset);
  for (LayerCache& layer : layers) {
    auto& rows = std::get<KeyValues>(layer);
    rows.length = std::max<std::int64_t>(rows.length - count, 0);
  }
  offset -= count;
  return count;
}

void Cache::quantize(const KvQuantization& form, std::int64_t from) {
  for (LayerCache& layer : layers) {
    auto* rows = std::get_if<KeyValues>(&layer);
    if (rows == nullptr || rows->window != 0 || rows->keys.is_empty()) continue;
    for (CachedRows* some : {&rows->keys, &rows->values}) {
      rows::require_groups(*some, form);
      if (offset >= from) *some = rows::quantized(*some, form);
    }
  }
}

}  // namespace mlxnx::llm
