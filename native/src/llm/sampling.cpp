#include "mlxnx/llm/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "llm/vocabulary.h"
#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"
#include "ops/type_rules.h"

namespace mlxnx::llm {
namespace {

constexpr double kLeftOut = -std::numeric_limits<double>::infinity();

std::int64_t columns_of(const Tensor& rows) { return rows.shape().back(); }

// `tensor` as rows, [R, V].
Tensor as_rows(std::string_view function, const Tensor& tensor) {
  if (!is_float(tensor.dtype()))
    throw TypeError(fmt::format("[{}] takes floats, got {}", function, to_string(tensor.type())));
  if (tensor.rank() == 0 || columns_of(tensor) == 0) {
    throw ShapeError(fmt::format("[{}] expected [..., V] with a vocabulary of V tokens, got {}",
                                 function, to_string(tensor.type())));
  }
  if (tensor.rank() == 2) return tensor;
  return reshape(tensor, {tensor.size() / columns_of(tensor), columns_of(tensor)});
}

// The same for what is no more than a batch.
void require_batch(std::string_view function, const Tensor& logits) {
  as_rows(function, logits);
  if (logits.rank() == 2) return;
  throw ShapeError(
      fmt::format("[{}] logits are [B, V], got {}", function, to_string(logits.type())));
}

void require_top_p(double top_p) {
  if (top_p > 0 && top_p <= 1) return;
  throw ArgumentError(
      fmt::format("[apply_top_p] top_p has to be above 0 and at most 1, got {}", top_p));
}

void require_min_p(double min_p, std::int64_t min_tokens_to_keep, std::int64_t vocabulary) {
  if (!(min_p >= 0 && min_p <= 1))
    throw ArgumentError(fmt::format("[apply_min_p] min_p has to be from 0 to 1, got {}", min_p));
  if (min_tokens_to_keep < 1 || min_tokens_to_keep > vocabulary) {
    throw ArgumentError(fmt::format(
        "[apply_min_p] min_tokens_to_keep has to be from 1 to {}, the vocabulary, got {}",
        vocabulary, min_tokens_to_keep));
  }
}

void require_top_k(std::int64_t top_k, std::int64_t vocabulary) {
  if (top_k > 0 && top_k < vocabulary) return;
  throw ArgumentError(
      fmt::format("[apply_top_k] top_k has to be above 0 and below {}, the vocabulary, got {}",
                  vocabulary, top_k));
}

void require_xtc(double probability, double threshold) {
  if (!(threshold >= 0 && threshold <= 0.5)) {
    throw ArgumentError(
        fmt::format("[apply_xtc] xtc_threshold has to be from 0 to 0.5, got {}", threshold));
  }
  if (!(probability >= 0 && probability <= 1)) {
    throw ArgumentError(
        fmt::format("[apply_xtc] xtc_probability has to be from 0 to 1, got {}", probability));
  }
}

Tensor as_wide(const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); }

// With f32 at least.
Tensor probabilities(const Tensor& rows) {
  return fast::softmax(as_wide(rows), {.axes = Axes{-1}});
}

// The pairs of row and column that `positions` [R, N] stand for, [R * N, 2].
Tensor places(const Tensor& positions) {
  const Shape& shape = positions.shape();
  const Tensor rows = iota(shape, {.axis = 0});
  return reshape(stack({rows, as_type(positions, DType::s32)}, {.axis = -1}),
                 {shape[0] * shape[1], 2});
}

Tensor elements_at(const Tensor& rows, const Tensor& positions) {
  return take_along_axis(rows, positions, {.axis = 1});
}

// `rows` with `values` [R, N] at `positions` of each row.
Tensor with_elements(const Tensor& rows, const Tensor& positions, const Tensor& values) {
  return indexed_put(rows, places(positions), flatten(values));
}

// The log probability of the last token that stays within top_p, [R, 1]. Columns are `ascending`;
// their probabilities may be those among more columns.
Tensor top_p_bound(const Tensor& ascending, const Tensor& probabilities, double top_p) {
  const std::int64_t columns = columns_of(ascending);
  const Tensor sums = cumulative_sum(probabilities, {.axis = 1, .reverse = true});
  const Tensor above = pad(sums, 0.0, {{}, {.low = -1, .high = 1}});
  // Nothing is above the last one, so that it stays.
  const Tensor kept = sum(less(above, top_p), {.axes = Axes{1}, .keep_axes = true});
  return elements_at(ascending, columns - as_type(kept, DType::s32));
}

Tensor without_less_than(const Tensor& rows, const Tensor& bound) {
  return select(less(rows, bound), kLeftOut, rows);
}

Tensor within_top_p(const Tensor& rows, double top_p) {
  if (top_p == 1) return rows;
  const Tensor ascending = sort(rows, {.axis = 1});
  return without_less_than(rows, top_p_bound(ascending, probabilities(ascending), top_p));
}

Tensor above_min_p(const Tensor& rows, double min_p, std::int64_t min_tokens_to_keep) {
  const Tensor bound = reduce_max(rows, {.axes = Axes{1}, .keep_axes = true}) + std::log(min_p);
  const Tensor kept = without_less_than(rows, bound);
  if (min_tokens_to_keep == 1) return kept;
  // Of equal ones mlx-lm keeps the last, and `top_k` finds the first.
  const TopKResult best = top_k(reverse(rows, {.axes = Axes{1}}), min_tokens_to_keep);
  return with_elements(kept, columns_of(rows) - 1 - best.indices, best.values);
}

// What the draw does not depend on is not drawn.
Tensor if_drawn(double probability, const Tensor& key, const Tensor& changed, const Tensor& rows) {
  if (probability == 1) return changed;
  const Tensor is_left = greater(random::uniform(key), probability);
  return select(broadcast(is_left, rows.shape()), rows, changed);
}

Tensor without_top_choices(const Tensor& rows, double probability, double threshold,
                           std::span<const std::uint32_t> special_tokens, const Tensor& key) {
  // Thresholds are compared in the type of the rows.
  const Tensor shares = as_type(probabilities(rows), rows.dtype());
  const Tensor likely = select(greater(shares, threshold), shares, -kLeftOut);
  const Tensor least = reduce_min(likely, {.axes = Axes{1}, .keep_axes = true});
  Tensor changed = select(greater(shares, least), kLeftOut, rows);
  for (const std::uint32_t token : special_tokens)
    require_token("apply_xtc", token, columns_of(rows));
  if (!special_tokens.empty()) {
    const auto count = static_cast<std::int64_t>(special_tokens.size());
    const Tensor tokens =
        broadcast(Tensor::from_span(special_tokens, {1, count}), {rows.shape()[0], count});
    changed = with_elements(changed, tokens, elements_at(rows, tokens));
  }
  return if_drawn(probability, key, changed, rows);
}

// What there is to choose from: log probabilities [R, N] of `tokens` [R, N], or of all in order.
struct Candidates {
  Tensor logprobs;
  std::optional<Tensor> tokens = std::nullopt;

  // With all tokens in order, [R, V].
  Tensor whole(std::int64_t vocabulary) const {
    if (!tokens) return logprobs;
    const Tensor none = constant(kLeftOut, logprobs.dtype(), {logprobs.shape()[0], vocabulary});
    return with_elements(none, *tokens, logprobs);
  }
};

bool has_top_p(const SamplerOptions& options) { return options.top_p > 0 && options.top_p < 1; }
bool has_xtc(const SamplerOptions& options) { return options.xtc_probability > 0; }

void require_valid(const SamplerOptions& options, std::int64_t vocabulary) {
  if (options.min_p != 0) require_min_p(options.min_p, options.min_tokens_to_keep, vocabulary);
  if (has_xtc(options)) require_xtc(options.xtc_probability, options.xtc_threshold);
  if (options.top_k > 0) require_top_k(options.top_k, vocabulary);
}

// top_p and min_p leave the most probable tokens as they are, and so the `top_k` best of the rest
// are among those of all: only they need to be looked at.
Candidates choice_of_best(const Tensor& rows, const SamplerOptions& options) {
  const TopKResult best = top_k(rows, options.top_k);
  Tensor kept = best.values;
  if (has_top_p(options)) {
    const auto ascending = [](const Tensor& x) { return reverse(x, {.axes = Axes{1}}); };
    const Tensor shares = elements_at(probabilities(rows), best.indices);
    kept = without_less_than(kept, top_p_bound(ascending(kept), ascending(shares), options.top_p));
  }
  if (options.min_p != 0)
    kept = above_min_p(kept, options.min_p, std::min(options.min_tokens_to_keep, options.top_k));
  return {kept, best.indices};
}

Candidates choice_of(const Tensor& rows, const SamplerOptions& options, const Tensor& key) {
  require_valid(options, columns_of(rows));
  if (options.top_k > 0 && !has_xtc(options)) return choice_of_best(rows, options);
  Tensor kept = rows;
  if (has_top_p(options)) kept = within_top_p(kept, options.top_p);
  if (options.min_p != 0) kept = above_min_p(kept, options.min_p, options.min_tokens_to_keep);
  if (has_xtc(options)) {
    kept = without_top_choices(kept, options.xtc_probability, options.xtc_threshold,
                               options.xtc_special_tokens, key);
  }
  if (options.top_k <= 0) return {kept};
  const TopKResult best = top_k(kept, options.top_k);
  return {best.values, best.indices};
}

// A column of a single row: the first up to which the probabilities add up to more than a uniform
// number. They are counted in 2^-30, since integers add up exactly: whatever was rounded, a column
// of probability 0 is never drawn.
Tensor drawn_column(const Tensor& logits, const Tensor& key) {
  constexpr double kWhole = 1 << 30;
  const std::int64_t columns = columns_of(logits);
  const Tensor parts = as_type(probabilities(logits) * kWhole, DType::s32);
  const Tensor sums = cumulative_sum(parts, {.axis = 1});
  const Tensor total = slice_along_axis(sums, columns - 1, 1, {.axis = 1});
  const Tensor scaled = random::uniform(key, {1, 1}) * as_type(total, DType::f32);
  const Tensor drawn = min(as_type(scaled, DType::s32), total - 1);
  const Tensor column = sum(less_equal(sums, drawn), {.axes = Axes{1}, .keep_axes = true});
  return min(as_type(column, DType::s32), columns - 1);
}

Tensor drawn(const Candidates& choice, double temp, std::int64_t vocabulary, const Tensor& key) {
  if (choice.logprobs.shape()[0] != 1)
    return random::categorical(key, choice.whole(vocabulary) * (1 / temp));
  const Tensor logits = choice.logprobs * (1 / temp);
  if (!choice.tokens) return drawn_column(logits, key);
  // In the order of tokens, so that the same number draws the same one.
  const Tensor order = argsort(*choice.tokens, {.axis = 1});
  return elements_at(elements_at(*choice.tokens, order),
                     drawn_column(elements_at(logits, order), key));
}

// The last tokens of `history`, for each row: [B, N].
Tensor context(const Tensor& history, std::int64_t size, std::int64_t rows) {
  const std::int64_t length = columns_of(history);
  const std::int64_t kept = size == 0 ? length : std::min(size, length);
  const Tensor last = slice_along_axis(history, length - kept, kept, {.axis = -1});
  return history.rank() == 2 ? last : broadcast(last, {rows, kept});
}

void require_processors(const ProcessorOptions& options) {
  for (const double penalty :
       {options.repetition_penalty, options.presence_penalty, options.frequency_penalty}) {
    if (std::isfinite(penalty)) continue;
    throw ArgumentError(
        fmt::format("[process_logits] a penalty has to be a finite number, got {}", penalty));
  }
  if (!(options.repetition_penalty >= 0)) {
    throw ArgumentError(
        fmt::format("[process_logits] repetition_penalty has to be at least 0, got {}",
                    options.repetition_penalty));
  }
  const std::int64_t least =
      std::min({options.repetition_context_size, options.presence_context_size,
                options.frequency_context_size});
  if (least < 0)
    throw ArgumentError(
        fmt::format("[process_logits] a context size has to be at least 0, got {}", least));
}

void require_history(const Tensor& history, const Tensor& logits) {
  const Shape& shape = history.shape();
  if (!is_integer(history.dtype()))
    throw TypeError(
        fmt::format("[process_logits] tokens are integers, got {}", to_string(history.type())));
  if (shape.size() == 1 || (shape.size() == 2 && shape[0] == logits.shape()[0])) return;
  throw ShapeError(
      fmt::format("[process_logits] a history is [L] or [{}, L] beside logits {}, got {}",
                  logits.shape()[0], to_string(logits.type()), to_string(history.type())));
}

Tensor biased(const Tensor& logits, const std::map<std::uint32_t, double>& biases) {
  std::vector<std::uint32_t> tokens;
  std::vector<double> values;
  for (const auto& [token, bias] : biases) {
    require_token("process_logits", token, columns_of(logits));
    if (!(bias < std::numeric_limits<float>::max())) {
      throw ArgumentError(fmt::format(
          "[process_logits] the bias of the token {} has to be a number, got {}", token, bias));
    }
    tokens.push_back(token);
    values.push_back(bias);
  }
  const Shape shape{logits.shape()[0], static_cast<std::int64_t>(tokens.size())};
  const auto in_rows = [&](const Tensor& row) { return broadcast(row, shape); };
  const Tensor added =
      as_type(Tensor::from_span(std::span<const double>(values), {shape[1]}), logits.dtype());
  return indexed_add(
      logits,
      places(in_rows(Tensor::from_span(std::span<const std::uint32_t>(tokens), {shape[1]}))),
      flatten(in_rows(added)));
}

}  // namespace

Tensor apply_top_p(const Tensor& logprobs, double top_p) {
  const Tensor rows = as_rows("apply_top_p", logprobs);
  require_top_p(top_p);
  return reshape(within_top_p(rows, top_p), logprobs.shape());
}

Tensor apply_min_p(const Tensor& logprobs, double min_p, std::int64_t min_tokens_to_keep) {
  const Tensor rows = as_rows("apply_min_p", logprobs);
  require_min_p(min_p, min_tokens_to_keep, columns_of(rows));
  return reshape(above_min_p(rows, min_p, min_tokens_to_keep), logprobs.shape());
}

Tensor apply_top_k(const Tensor& logprobs, std::int64_t top_k) {
  const Tensor rows = as_rows("apply_top_k", logprobs);
  require_top_k(top_k, columns_of(rows));
  const Candidates best = choice_of_best(rows, {.top_k = top_k});
  return reshape(best.whole(columns_of(rows)), logprobs.shape());
}

Tensor apply_xtc(const Tensor& logprobs, double xtc_probability, double xtc_threshold,
                 std::span<const std::uint32_t> xtc_special_tokens, const Tensor& key) {
  const Tensor rows = as_rows("apply_xtc", logprobs);
  require_xtc(xtc_probability, xtc_threshold);
  return reshape(without_top_choices(rows, xtc_probability, xtc_threshold, xtc_special_tokens, key),
                 logprobs.shape());
}

Tensor masked_logprobs(const Tensor& logprobs, const SamplerOptions& options, const Tensor& key) {
  const Tensor rows = as_rows("masked_logprobs", logprobs);
  return reshape(choice_of(rows, options, key).whole(columns_of(rows)), logprobs.shape());
}

Tensor sample(const Tensor& logprobs, const SamplerOptions& options, const Tensor& key) {
  const Tensor rows = as_rows("sample", logprobs);
  if (!(options.temp >= 0) || std::isinf(options.temp))
    throw ArgumentError(
        fmt::format("[sample] temp has to be a number of at least 0, got {}", options.temp));
  // Colder than this, differences of the last bit decide; the quotient would overflow at last.
  constexpr double kColdest = 1e-6;
  if (options.temp < kColdest) return argmax(logprobs, {.axis = -1, .type = DType::u32});
  Tensor of_xtc = key, of_draw = key;
  if (has_xtc(options)) std::tie(of_draw, of_xtc) = random::split(key);
  const Candidates choice = choice_of(rows, options, of_xtc);
  Shape shape = logprobs.shape();
  shape.pop_back();
  return reshape(as_type(drawn(choice, options.temp, columns_of(rows), of_draw), DType::u32),
                 shape);
}

Tensor logprobs(const Tensor& logits) {
  as_rows("logprobs", logits);
  // The probability of the best is 1 over the sum of exponentials: softmax has a kernel of its own.
  const ReductionOptions of_row{.axes = Axes{-1}, .keep_axes = true};
  const Tensor best = reduce_max(probabilities(logits), of_row);
  const Tensor total = as_wide(reduce_max(logits, of_row)) - log(best);
  return logits - as_type(total, logits.dtype());
}

Tensor process_logits(const Tensor& logits, const Tensor& history,
                      const ProcessorOptions& options) {
  require_batch("process_logits", logits);
  require_history(history, logits);
  require_processors(options);
  Tensor result = options.logit_bias.empty() ? logits : biased(logits, options.logit_bias);
  if (columns_of(history) == 0) return result;
  const auto tokens = [&](std::int64_t size) { return context(history, size, logits.shape()[0]); };
  if (const double penalty = options.repetition_penalty; penalty != 0) {
    const Tensor at = tokens(options.repetition_context_size);
    const Tensor found = elements_at(result, at);
    result = with_elements(result, at, select(less(found, 0), found * penalty, found / penalty));
  }
  if (const double penalty = options.presence_penalty; penalty != 0) {
    const Tensor at = tokens(options.presence_context_size);
    result = with_elements(result, at, elements_at(result, at) - penalty);
  }
  if (const double penalty = options.frequency_penalty; penalty != 0) {
    const Tensor at = places(tokens(options.frequency_context_size));
    result = indexed_add(result, at, constant(-penalty, logits.dtype(), {at.shape()[0]}));
  }
  return result;
}

Tensor mask_logits(const Tensor& logits, std::span<const TokenMask> masks) {
  require_batch("mask_logits", logits);
  const std::int64_t rows = logits.shape()[0], vocabulary = columns_of(logits);
  const auto count = static_cast<std::int64_t>(masks.size());
  if (count != 1 && count != rows) {
    throw ShapeError(fmt::format("[mask_logits] logits {} take 1 mask or {}, got {}",
                                 to_string(logits.type()), rows, count));
  }
  std::vector<std::uint8_t> allowed;
  allowed.reserve(static_cast<std::size_t>(count * vocabulary));
  for (const TokenMask& mask : masks) {
    for (std::uint32_t token = 0; token < vocabulary; ++token)
      allowed.push_back(mask.allows(token) ? 1 : 0);
  }
  const Tensor is_allowed =
      Tensor::from_span(std::span<const std::uint8_t>(allowed), {count, vocabulary});
  return select(broadcast(is_allowed, logits.shape()), logits, kLeftOut);
}

}  // namespace mlxnx::llm
