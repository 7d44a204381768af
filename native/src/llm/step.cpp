#include "llm/step.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "llm/cached_rows.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

// Memory for rows grows by so many.
constexpr std::int64_t kBlock = 256;

Tensor list(const std::vector<std::int64_t>& values) {
  const std::vector<std::int32_t> numbers(values.begin(), values.end());
  return Tensor::from_span(std::span<const std::int32_t>(numbers),
                           {static_cast<std::int64_t>(numbers.size())});
}

Tensor counting(std::int64_t from, std::int64_t count) { return iota({count}) + from; }

// Puts `count` rows behind those in use.
void append(CachedRows& all, std::int64_t length, const CachedRows& some, std::int64_t count) {
  if (length == 0 && count > rows::capacity(all)) {
    all = rows::grown(some, (kBlock - count % kBlock) % kBlock);
    return;
  }
  if (length + count > rows::capacity(all)) {
    const std::int64_t more = (count + kBlock - 1) / kBlock * kBlock;
    all = rows::grown(rows::part(all, 0, length), more);
  }
  rows::put(all, length, some);
}

// The rows of a window in the order of their tokens.
CachedRows in_order(const KeyValues& cache, const CachedRows& all) {
  const std::int64_t next = cache.next;
  if (next <= cache.keep || next >= cache.length) return rows::part(all, 0, cache.length);
  CachedRows result = rows::part(all, next, cache.length - next);
  if (cache.keep > 0) result = rows::joined(rows::part(all, 0, cache.keep), result);
  return rows::joined(result, rows::part(all, cache.keep, next - cache.keep));
}

// The same without `count` of the rows behind those that are kept.
CachedRows without(const CachedRows& all, std::int64_t keep, std::int64_t count) {
  const std::int64_t rest = rows::capacity(all) - keep - count;
  if (rest == 0) return rows::part(all, 0, keep);
  const CachedRows last = rows::part(all, keep + count, rest);
  return keep == 0 ? last : rows::joined(rows::part(all, 0, keep), last);
}

}  // namespace

Step::Step(Cache& cache, std::int64_t batch, std::int64_t length)
    : cache_(cache), batch_(batch), length_(length) {
  position_ = cache.left_padding.empty() ? Tensor(static_cast<std::int32_t>(cache.offset))
                                         : list(cache.left_padding) * -1 + cache.offset;
}

Tensor Step::positions() const {
  const Tensor each = iota({length_});
  return position_.rank() == 0 ? each + position_ : new_axis(position_, 1) + new_axis(each, 0);
}

std::vector<std::optional<Tensor>>& Step::states(std::size_t layer) {
  return std::get<Recurrent>(cache_.layers.at(layer)).states;
}

std::optional<Tensor> Step::token_mask() const {
  const auto& padding = cache_.left_padding;
  if (padding.empty() || *std::ranges::max_element(padding) <= offset()) return std::nullopt;
  return new_axis(iota({length_}), 0) >= new_axis(list(padding), 1) - offset();
}

Attended Step::attend(std::size_t layer, const Tensor& keys, const Tensor& values) {
  auto& cache = std::get<KeyValues>(cache_.layers.at(layer));
  const CachedRows new_keys = rows::in_form_of(cache.keys, keys);
  const CachedRows new_values = rows::in_form_of(cache.values, values);
  Attended result;
  const std::int64_t window = cache.window;
  if (window == 0) {
    append(cache.keys, cache.length, new_keys, length_);
    append(cache.values, cache.length, new_values, length_);
    cache.length += length_;
  } else if (length_ == 1 && cache_.left_padding.empty() && cache.length >= window) {
    // Beyond the window a single token takes the place of the oldest one.
    if (cache.length > window) {
      const std::int64_t surplus = cache.length - window;
      cache.keys = without(rows::part(cache.keys, 0, cache.length), cache.keep, surplus);
      cache.values = without(rows::part(cache.values, 0, cache.length), cache.keep, surplus);
      cache.lost += surplus;
      cache.length = window;
    }
    if (cache.next < cache.keep || cache.next >= window) cache.next = cache.keep;
    rows::put(cache.keys, cache.next, new_keys);
    rows::put(cache.values, cache.next, new_values);
    ++cache.next;
    ++cache.lost;
  } else {
    // The first of these tokens sees a whole window, so one less than that stays.
    const std::int64_t surplus = cache.length - window + 1;
    if (cache.length > 0 && (surplus > 0 || cache.next != 0)) {
      cache.keys = in_order(cache, cache.keys);
      cache.values = in_order(cache, cache.values);
      cache.next = 0;
      if (surplus > 0) {
        // Of a window of one token nothing stays; what is there is written over.
        if (surplus < cache.length) {
          cache.keys = without(cache.keys, cache.keep, surplus);
          cache.values = without(cache.values, cache.keep, surplus);
        }
        cache.length -= surplus;
        cache.lost += surplus;
      }
    }
    append(cache.keys, cache.length, new_keys, length_);
    append(cache.values, cache.length, new_values, length_);
    cache.length += length_;
  }
  result.keys = rows::part(cache.keys, 0, cache.length);
  result.values = rows::part(cache.values, 0, cache.length);
  add_mask(result, cache.length, cache.lost, window);
  return result;
}

void Step::add_mask(Attended& attended, std::int64_t keys, std::int64_t lost, std::int64_t window) {
  const bool is_windowed = window != 0 && keys > window && length_ > 1;
  const bool is_padded = !cache_.left_padding.empty();
  if (!is_windowed && !is_padded) {
    attended.causal = length_ > 1;
    return;
  }
  const auto [place, is_new] = masks_.try_emplace({keys, is_padded ? lost : 0, window});
  if (is_new) {
    // Places among the keys rather than positions: rows that a window keeps count as neighbours.
    const Tensor query = new_axis(counting(keys - length_, length_), 1);
    const Tensor key = new_axis(counting(0, keys), 0);
    Tensor mask = query >= key;
    if (is_windowed) mask = logical_and(mask, query < key + window);
    if (is_padded) {
      const Tensor first = reshape(list(cache_.left_padding), {batch_, 1, 1, 1});
      mask = logical_and(new_axis(new_axis(mask, 0), 0), key + lost >= first);
    }
    place->second = mask;
  }
  attended.mask = place->second;
}

}  // namespace mlxnx::llm
